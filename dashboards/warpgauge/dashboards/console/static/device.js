// One device: the last hour as small charts, its job, its findings.

import { byId, element, replace } from "./dom.js";
import { duration, withUnit, words } from "./format.js";
import { lines } from "./charts.js";
import * as place from "./place.js";

const CHARTS = [
  ["accel_compute_active_ratio", "SMs active", "ratio"],
  ["accel_utilization_ratio", "Utilization (any kernel running)", "ratio", { engine: "compute" }],
  ["accel_clock_hertz", "SM clock", "hertz", { clock: "sm" }],
  ["accel_temperature_celsius", "Core temperature", "celsius", { sensor: "core" }],
  ["accel_power_watts", "Power", "watts"],
  ["accel_memory_used_bytes", "Memory used", "bytes"],
];

export async function openDevice(device) {
  place.set("device", device.uuid);
  const box = byId("device");
  box.hidden = false;
  const charts = element("div", { class: "charts" });
  replace(box, element("section", { class: "panel", "aria-labelledby": "device-title" },
    element("header", {},
      element("h3", { id: "device-title", tabindex: "-1" }, `${device.model ?? "Device"}, index ${device.index}, on ${device.node}`),
      element("span", { class: "mono" }, device.uuid),
      device.simulated ? element("span", { class: "badge simulated" }, "simulated") : null,
      element("span", {}, device.job_id ? `job ${device.job_id}` : "no job"),
      element("button", { type: "button", onclick: close }, "Close")),
    charts));
  byId("device-title").focus();
  const shown = await Promise.all(CHARTS.map(([metric, title, unit, labels]) => chart(charts, device, metric, title, unit, labels)));
  if (!shown.some(Boolean)) charts.append(element("p", { class: "empty" }, "This source reports no history for this device yet."));
}

function close() {
  place.set("device", null);
  byId("device").hidden = true;
  byId("fleet").querySelector("button")?.focus();
}

async function chart(box, device, metric, title, unit, labels = {}) {
  const holder = element("figure", { class: "scroll" });
  box.append(holder);
  const end = Date.now() / 1000;
  const query = new URLSearchParams({ metric, start: String(end - 3600), end: String(end), uuid: device.uuid, ...labels });
  const answer = await fetch(`api/v1/series?${query}`);
  if (!answer.ok) { holder.remove(); return false; }
  const { series } = await answer.json();
  const first = series.find((one) => one.values.some((point) => point[1] !== null)); // [[seconds, value], ...]
  if (!first) { holder.remove(); return false; }
  const points = first.values.filter((point) => point[1] !== null);
  const covered = duration(points.at(-1)[0] - points[0][0]);
  holder.append(element("figcaption", {}, `${title}: ${withUnit(points.at(-1)[1], unit)} `, element("span", { class: "quiet" }, `now, over ${covered}`)));
  const host = element("div", { class: "chart", role: "img", "aria-label": `${title} of ${words(device.node ?? "")} device ${device.index}, last ${covered}` });
  holder.append(host);
  lines(host, title, first.values.map((point) => point[0]), first.values.map((point) => point[1]), (value) => (value === null ? "" : withUnit(value, unit)));
  return true;
}
