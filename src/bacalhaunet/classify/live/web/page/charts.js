// The constellation, the labels over time, and what all drawings share.

import { bytes } from "./stream.js";

const SPAN_S = 60;
const LANE = 26; // pixels
const POINT_SCALE = 48;
const HUES = [205, 28, 130, 300, 55, 265, 170, 345, 95, 235, 15, 320];
const known = new Map();

// A colour for a label, the same as long as the page is open.
export function color(label) {
  if (label === null || label === undefined) return "#b8c2cc";
  if (!known.has(label)) known.set(label, HUES[known.size % HUES.length]);
  return `hsl(${known.get(label)} 85% 68%)`;
}

export function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A frequency with its unit, to a step of ``step`` Hz, or to four digits.
export function hertz(value, step = 0) {
  const size = Math.max(Math.abs(value), 1);
  const [unit, name] = size >= 1e9 ? [1e9, "GHz"] : size >= 1e6 ? [1e6, "MHz"] : size >= 1e3 ? [1e3, "kHz"] : [1, "Hz"];
  const whole = Math.floor(Math.log10(Math.max(size / unit, 1))) + 1;
  const digits = step > 0 ? Math.ceil(Math.log10(unit / step)) : 4 - whole;
  return `${(value / unit).toFixed(Math.max(0, Math.min(digits, 6)))} ${name}`;
}

// The context of a canvas that is as sharp as the screen, cleared, with its size in CSS pixels.
export function fitted(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const wide = Math.round(width * ratio);
  const tall = Math.round(height * ratio);
  if (canvas.width !== wide || canvas.height !== tall) {
    canvas.width = wide;
    canvas.height = tall;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return [context, width, height];
}

export function constellation(canvas, signal) {
  const [context, width, height] = fitted(canvas);
  const middle = width / 2;
  const unit = width / 4.4; // the root mean square
  context.strokeStyle = ink("--line");
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(0, height / 2);
  context.lineTo(width, height / 2);
  context.moveTo(middle, 0);
  context.lineTo(middle, height);
  context.stroke();
  context.beginPath();
  context.arc(middle, height / 2, unit, 0, 2 * Math.PI);
  context.stroke();
  if (!signal || !signal.points) return;
  const points = new Int8Array(bytes(signal.points).buffer);
  context.fillStyle = ink("--accent");
  context.globalAlpha = 0.65;
  for (let place = 0; place + 1 < points.length; place += 2) {
    const x = middle + (points[place] / POINT_SCALE) * unit;
    const y = height / 2 - (points[place + 1] / POINT_SCALE) * unit;
    context.fillRect(x - 1.5, y - 1.5, 3, 3);
  }
  context.globalAlpha = 1;
}

export function timeline(canvas, signals, now) {
  const shown = signals.filter((signal) => signal.runs.length && signal.last > now - SPAN_S);
  canvas.style.height = `${Math.max(1, shown.length) * LANE + 16}px`;
  const [context, width, height] = fitted(canvas);
  const place = (time) => Math.max(0, width * (1 - (now - time) / SPAN_S));
  context.textBaseline = "middle";
  context.font = "12px system-ui, sans-serif";
  shown.forEach((signal, lane) => {
    for (const [start, stop, label] of signal.runs) {
      const left = place(start);
      const wide = place(stop) - left;
      if (wide < 0.5) continue;
      context.fillStyle = color(label);
      context.fillRect(left, lane * LANE + 3, wide, LANE - 6);
      context.fillStyle = "#10151c";
      context.textAlign = "left";
      if (wide > context.measureText(label).width + 8) context.fillText(label, left + 4, lane * LANE + LANE / 2);
    }
  });
  context.fillStyle = ink("--faint");
  context.font = "11px system-ui, sans-serif";
  for (const [ago, align] of [[60, "left"], [30, "center"], [0, "right"]]) {
    context.textAlign = align;
    context.fillText(ago ? `−${ago} s` : "now", width * (1 - ago / SPAN_S), height - 7);
  }
}
