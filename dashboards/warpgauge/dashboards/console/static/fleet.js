// The fleet grid: a row per node, a column per device; value and color by the chosen metric, faults by glyph and word.

import { byId, element, replace } from "./dom.js";
import { bytes, percent, shortUuid, words } from "./format.js";
import * as place from "./place.js";

const METRICS = [
  { key: "compute_active_ratio", label: "compute active", show: (v) => percent(v), low: 0, high: 1 },
  { key: "utilization_ratio", label: "utilization (any kernel running)", show: (v) => percent(v), low: 0, high: 1 },
  { key: "temperature_celsius", label: "temperature", show: (v) => `${v.toFixed(0)} °C`, low: 30, high: 95 },
  { key: "power_watts", label: "power", show: (v) => `${v.toFixed(0)} W`, low: 50, high: 700 },
  { key: "memory_ratio", label: "memory used", show: (v) => percent(v), low: 0, high: 1 },
];
const GLYPH = { critical: "✖", warning: "▲" };
// cividis, readable for the color-blind; text turns dark on the light end
const SCALE = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"];

let chosen = METRICS.find((metric) => metric.key === place.get("metric")) ?? METRICS[0];
let last = null;
let onDevice = () => {};

export function startFleet(openDevice) {
  onDevice = openDevice;
  const select = byId("fleet-metric");
  select.append(...METRICS.map((metric) => element("option", { value: metric.key, selected: metric === chosen }, metric.label)));
  select.addEventListener("change", () => {
    chosen = METRICS.find((metric) => metric.key === select.value);
    place.set("metric", chosen.key);
    if (last) showFleet(last.live, last.findings);
  });
  byId("fleet").addEventListener("keydown", moveWithArrows);
}

export function showFleet(live, findings) {
  last = { live, findings };
  const section = byId("fleet-section");
  section.hidden = live.devices.length === 0;
  if (section.hidden) return;
  const worst = worstByDevice(findings);
  const rows = byNode(live.devices);
  const width = Math.max(...[...rows.values()].map((devices) => devices.length));
  const body = [...rows].map(([, devices]) => element("tr", {},
    element("th", { scope: "row" }, devices[0].node ?? "node unknown"),
    devices.map((device) => element("td", {}, cell(device, worst.get(device.uuid))))));
  replace(byId("fleet"), element("div", { class: "scroll" }, element("table", { class: "fleet" },
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "node"),
      Array.from({ length: width }, (_, index) => element("th", { scope: "col" }, String(index))))),
    element("tbody", {}, body))));
  byId("fleet-simulated").hidden = !live.devices.some((device) => device.simulated);
  byId("fleet-legend").textContent =
    `${chosen.show(chosen.low)} dark to ${chosen.show(chosen.high)} light · ▲ warning · ✖ critical · dashed = not reported · arrow keys move, Enter opens`;
}

const valueOf = (device) =>
  chosen.key === "memory_ratio"
    ? (device.memory_total_bytes ? device.memory_used_bytes / device.memory_total_bytes : undefined)
    : device[chosen.key];

function cell(device, finding) {
  const value = valueOf(device);
  const down = device.state && device.state !== "ok" ? device.state : null;
  const away = down === "released" || down === "denied"; // not to be read, and no fault of the device
  const glyph = down ? (away ? "○" : "✖") : GLYPH[finding?.severity] ?? null;
  const text = down ? words(down) : value === undefined ? "–" : chosen.show(value);
  const spoken = [`${device.model ?? "device"} ${device.index} on ${device.node}`, `${chosen.label} ${value === undefined ? "not reported" : chosen.show(value)}`,
    device.simulated ? "simulated" : null, device.job_id ? `job ${device.job_id}` : "no job", down ? `state ${words(down)}` : null, finding ? `${finding.severity}: ${words(finding.kind)}` : null].filter(Boolean).join(", ");
  const share = value === undefined ? null : Math.min(1, Math.max(0, (value - chosen.low) / (chosen.high - chosen.low)));
  const color = share === null ? null : SCALE[Math.min(SCALE.length - 1, Math.floor(share * SCALE.length))];
  return element("button", {
    type: "button", "data-key": device.uuid, "aria-label": spoken, "aria-pressed": place.get("device") === device.uuid,
    title: `${shortUuid(device.uuid)} · ${spoken} · ${device.memory_used_bytes === undefined ? "" : bytes(device.memory_used_bytes)}`,
    class: ["cell", share === null ? "absent" : null, glyph ? "flagged" : null, ((down && !away) || finding?.severity === "critical") ? "critical" : null].filter(Boolean).join(" "),
    style: color ? { background: color, color: share > 0.6 ? "#111" : "#fff" } : {},
    onclick: () => onDevice(device),
  }, glyph ? element("span", { "aria-hidden": "true" }, glyph) : null, text);
}

function worstByDevice(findings) {
  const rank = { info: 0, warning: 1, critical: 2 };
  const worst = new Map();
  for (const finding of findings) {
    if (finding.ended || !finding.scope.uuid) continue;
    const before = worst.get(finding.scope.uuid);
    if (!before || rank[finding.severity] > rank[before.severity]) worst.set(finding.scope.uuid, finding);
  }
  return worst;
}

function byNode(devices) {
  const rows = new Map();
  for (const device of devices) {
    const key = `${device.cluster}\u0000${device.node}`;
    if (!rows.has(key)) rows.set(key, []);
    rows.get(key).push(device);
  }
  for (const row of rows.values()) row.sort((a, b) => Number(a.index) - Number(b.index));
  return new Map([...rows].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true })));
}

function moveWithArrows(event) {
  const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  const step = steps[event.key];
  const here = event.target.closest("td");
  if (!step || !here) return;
  event.preventDefault();
  const rows = [...here.closest("tbody").rows];
  const row = rows[rows.indexOf(here.parentElement) + step[0]];
  row?.cells[here.cellIndex + step[1]]?.querySelector("button")?.focus();
}
