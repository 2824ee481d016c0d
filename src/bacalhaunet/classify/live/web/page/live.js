// The page: keeps what the stream says and draws it.

import { color, constellation, hertz, timeline } from "./charts.js";
import { listen } from "./stream.js";
import { Waterfall } from "./waterfall.js";

const EVENTS = 30;
const told = new Set(); // events come again when the stream is opened again
const at = (name) => document.getElementById(name);
const state = { hello: null, active: [], ended: [], now: 0, selected: null, waiting: false };
const waterfall = new Waterfall(at("waterfall"), select);

function select(number) {
  state.selected = number;
  list();
  later();
}

// Draws once for all that came since the last picture.
function later() {
  if (state.waiting) return;
  state.waiting = true;
  requestAnimationFrame(() => {
    state.waiting = false;
    if (state.hello) draw();
  });
}

function draw() {
  waterfall.draw(state.hello, [...state.ended, ...state.active], state.selected);
  constellation(at("constellation"), chosen());
  timeline(at("timeline"), [...state.active, ...state.ended], state.now);
}

function chosen() {
  return state.active.find((signal) => signal.signal === state.selected);
}

function list() {
  const answered = state.active.filter((signal) => signal.label !== null);
  if (!chosen() && answered.length) {
    state.selected = answered.reduce((best, one) => (one.confidence > best.confidence ? one : best)).signal;
  }
  at("none").hidden = answered.length > 0;
  const items = at("signals");
  while (items.children.length > answered.length) items.lastChild.remove();
  while (items.children.length < answered.length) items.append(item());
  answered.forEach((signal, place) => fill(items.children[place].firstChild, signal));
  const signal = chosen();
  at("selected").textContent = signal
    ? `${signal.label} at ${hertz(signal.center, state.hello.rate / 1000)}${signal.symbol_rate ? `, ${hertz(signal.symbol_rate).replace("Hz", "Bd")}` : ""}`
    : "no signal is selected";
}

function item() {
  const button = document.createElement("button");
  button.type = "button";
  for (const kind of ["i", "b", "span", "small"]) button.append(document.createElement(kind));
  button.addEventListener("click", () => select(Number(button.dataset.signal)));
  const row = document.createElement("li");
  row.append(button);
  return row;
}

function fill(button, signal) {
  const [dot, name, sure, place] = button.children;
  button.dataset.signal = signal.signal;
  button.setAttribute("aria-pressed", String(signal.signal === state.selected));
  dot.style.background = color(signal.label);
  name.textContent = signal.until ? `${signal.label} (ended)` : signal.label;
  sure.textContent = `${Math.round(100 * signal.confidence)} %`;
  const parts = [hertz(signal.center, state.hello.rate / 1000), hertz(signal.bandwidth)];
  if (signal.symbol_rate) parts.push(hertz(signal.symbol_rate).replace("Hz", "Bd"));
  if (signal.snr_db !== null) parts.push(`${signal.snr_db.toFixed(0)} dB`);
  place.textContent = parts.join(" · ");
}

function figure(name, text, bad = false) {
  at(name).textContent = text;
  at(name).dataset.bad = String(bad);
}

function share(value) {
  return value === null ? "–" : `${(100 * value).toFixed(value < 0.1 ? 1 : 0)} %`;
}

function count(value) {
  return value < 1e4 ? String(value) : value < 1e6 ? `${(value / 1e3).toFixed(0)} k` : `${(value / 1e6).toFixed(1)} M`;
}

function status(values) {
  const receiving = values.source === "receiving";
  figure("rate", receiving ? `${(values.rate / 1e6).toFixed(3)} MS/s` : values.source, !receiving);
  figure("dropped", count(values.dropped), values.dropped > 0);
  figure("lost", values.gaps ? `${count(values.lost)} +` : count(values.lost), values.lost + values.gaps > 0);
  figure("searched", receiving ? share(values.searched) : "–");
  figure("coverage", share(values.coverage));
  figure("latency", values.latency_s === null ? "–" : `${(1000 * values.latency_s).toFixed(0)} ms`);
}

function event(values) {
  const key = `${values.time} ${values.text}`;
  if (told.has(key)) return;
  told.add(key);
  const row = document.createElement("li");
  const when = document.createElement("time");
  when.dateTime = values.time;
  when.textContent = `${new Date(values.time).toLocaleTimeString()} `;
  row.append(when, values.text);
  at("events").prepend(row);
  while (at("events").children.length > EVENTS) at("events").lastChild.remove();
}

listen(
  {
    hello(values) {
      state.hello = values;
      state.active = state.ended = [];
      waterfall.clear();
      at("source").textContent = `${values.source} · ${values.network}`;
      later();
    },
    row(values) {
      waterfall.add(values, state.hello.step_db);
      state.now = Math.max(state.now, values.time);
      later();
    },
    signals(values) {
      state.active = values.active;
      state.ended = values.ended;
      list();
      later();
    },
    status,
    event,
  },
  (connected) => {
    at("link").textContent = connected ? "live" : "connection lost, trying again";
    at("link").dataset.state = connected ? "live" : "lost";
  },
);

new ResizeObserver(later).observe(document.body);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", later);
