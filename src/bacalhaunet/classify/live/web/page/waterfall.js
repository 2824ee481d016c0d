// The waterfall with a box for each signal: newest on top, frequency from left to right.

import { bytes } from "./stream.js";
import { color, fitted, hertz, ink } from "./charts.js";

const BINS = 1024;
const ROWS = 240;
const BELOW_DB = 3; // under the floor the scale begins
const LEAST_RANGE_DB = 25;
const FOLLOW = 0.05; // how fast the scale follows
const AXIS = 20; // pixels
const STOPS = [[6, 8, 30], [24, 44, 110], [20, 110, 140], [40, 165, 110], [190, 205, 60], [255, 240, 170]];
const PALETTE = palette();

function palette() {
  const made = new Uint8ClampedArray(256 * 3);
  for (let level = 0; level < 256; level++) {
    const place = (level / 255) * (STOPS.length - 1);
    const stop = Math.min(Math.floor(place), STOPS.length - 2);
    for (let part = 0; part < 3; part++) {
      made[3 * level + part] = STOPS[stop][part] + (STOPS[stop + 1][part] - STOPS[stop][part]) * (place - stop);
    }
  }
  return made;
}

export class Waterfall {
  constructor(canvas, picked) {
    this.canvas = canvas;
    this.image = document.createElement("canvas");
    this.image.width = BINS;
    this.image.height = ROWS;
    this.drawing = this.image.getContext("2d", { willReadFrequently: true });
    this.line = this.drawing.createImageData(BINS, 1);
    this.picked = picked;
    this.clear();
    canvas.addEventListener("click", (event) => this.pick(event));
  }

  clear() {
    this.times = []; // newest first
    this.floor = null;
    this.peak = null;
    this.boxes = [];
    this.drawing.clearRect(0, 0, BINS, ROWS);
  }

  add(row, stepDb) {
    const levels = bytes(row.levels);
    this.floor = follow(this.floor, row.floor);
    this.peak = follow(this.peak, row.base + Math.max(...levels) * stepDb);
    const range = Math.max(LEAST_RANGE_DB, this.peak - this.floor + BELOW_DB);
    const offset = row.base - this.floor + BELOW_DB;
    for (let bin = 0; bin < BINS; bin++) {
      const level = Math.max(0, Math.min(255, Math.round(((offset + levels[bin] * stepDb) / range) * 255)));
      this.line.data.set([PALETTE[3 * level], PALETTE[3 * level + 1], PALETTE[3 * level + 2], 255], 4 * bin);
    }
    this.drawing.drawImage(this.image, 0, 1);
    this.drawing.putImageData(this.line, 0, 0);
    this.times.unshift(row.time);
    this.times.length = Math.min(this.times.length, ROWS);
  }

  // The row of a time, as a share of the height.
  place(time) {
    const row = this.times.findIndex((when) => when <= time);
    return (row < 0 ? this.times.length : row) / ROWS;
  }

  draw(hello, signals, selected) {
    const [context, width, height] = fitted(this.canvas);
    const tall = height - AXIS;
    context.imageSmoothingEnabled = false;
    context.fillStyle = `rgb(${STOPS[0]})`;
    context.fillRect(0, 0, width, tall);
    context.drawImage(this.image, 0, 0, width, tall);
    this.axis(context, hello, width, height);
    const low = hello.center - hello.rate / 2;
    this.boxes = [];
    const names = [];
    for (const signal of signals) {
      const top = this.place(signal.last) * tall;
      const bottom = this.place(signal.first) * tall;
      const left = ((signal.low - low) / hello.rate) * width;
      const wide = Math.max(3, ((signal.high - signal.low) / hello.rate) * width);
      if (bottom - top < 1) continue;
      this.boxes.push({ signal: signal.signal, left, top, right: left + wide, bottom });
      box(context, signal, left, top, wide, bottom - top, signal.signal === selected, width, names);
    }
  }

  axis(context, hello, width, height) {
    context.fillStyle = ink("--faint");
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "bottom";
    const marks = width < 500 ? 2 : 4;
    for (let mark = 0; mark <= marks; mark++) {
      context.textAlign = mark === 0 ? "left" : mark === marks ? "right" : "center";
      const frequency = hello.center + hello.rate * (mark / marks - 0.5);
      context.fillText(hertz(frequency, hello.rate / 100), (mark / marks) * width, height - 2);
    }
  }

  pick(event) {
    const hit = this.boxes.filter(
      (one) => event.offsetX >= one.left && event.offsetX <= one.right && event.offsetY >= one.top && event.offsetY <= one.bottom,
    );
    if (hit.length) this.picked(hit[hit.length - 1].signal);
  }
}

function follow(before, now) {
  return before === null ? now : before + FOLLOW * (now - before);
}

function box(context, signal, left, top, wide, tall, selected, width, names) {
  context.strokeStyle = selected ? "#ffffff" : color(signal.label);
  context.lineWidth = selected ? 2.5 : 1.5;
  context.strokeRect(left, top + 1, wide, tall - 2);
  const text = signal.label ?? "…";
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "top";
  const long = context.measureText(text).width + 8;
  const start = Math.max(0, Math.min(left, width - long));
  let line = top + 2;
  const covers = (one) => one.start < start + long && start < one.stop && Math.abs(one.line - line) < 17;
  while (names.some(covers)) line += 18; // names of narrow neighbours go one under the other
  names.push({ start, stop: start + long, line });
  context.fillStyle = "rgba(8, 12, 24, 0.8)";
  context.fillRect(start, line, long, 17);
  context.fillStyle = color(signal.label);
  context.fillText(text, start + 4, line + 2);
}
