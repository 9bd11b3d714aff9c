// One device: the last hour as small charts, its job, its findings.

import { byId, element, replace } from "./dom.js";
import { clockTime, duration, withUnit, words } from "./format.js";
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

const REFRESH_MS = 15_000;
let open = null; // {uuid, timer} of what is shown

export async function openDevice(device) {
  place.set("device", device.uuid);
  clearInterval(open?.timer);
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
  const drawings = CHARTS.map((chart) => drawing(charts, device, ...chart));
  const draw = () => Promise.all(drawings.map((one) => one()));
  open = { uuid: device.uuid, timer: setInterval(draw, REFRESH_MS) };
  const shown = await draw();
  if (!shown.some(Boolean)) charts.append(element("p", { class: "empty" }, "This source reports no history for this device yet."));
}

function close() {
  clearInterval(open?.timer);
  place.set("device", null);
  byId("device").hidden = true;
  const cells = byId("fleet");
  (cells.querySelector(`[data-key="${CSS.escape(open?.uuid ?? "")}"]`) ?? cells.querySelector("button"))?.focus();
}

/** Escape closes the panel, from wherever in it. */
export function closeOnEscape() {
  byId("device").addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
}

/** A chart's place, and the function that draws it as the history is now; false where there is none. */
function drawing(box, device, metric, title, unit, labels = {}) {
  const caption = element("figcaption");
  const host = element("div", { class: "chart", role: "img" });
  const holder = element("figure", { class: "scroll", hidden: true }, caption, host);
  box.append(holder);
  let plot = null;
  return async () => {
    const values = await history(device, metric, labels);
    if (!values) return false;
    holder.hidden = false;
    const points = values.filter((point) => point[1] !== null);
    const covered = duration(points.at(-1)[0] - points[0][0]);
    replace(caption, `${title}: ${withUnit(points.at(-1)[1], unit)} `, element("span", { class: "quiet" }, `at ${clockTime(points.at(-1)[0])}, over ${covered}`));
    host.setAttribute("aria-label", `${title} of ${words(device.node ?? "")} device ${device.index}, last ${covered}`);
    const data = [values.map((point) => point[0]), values.map((point) => point[1])];
    if (plot) plot.setData(data);
    else plot = lines(host, title, ...data, (value) => (value === null ? "" : withUnit(value, unit)));
    return true;
  };
}

/** The last hour as [[seconds, value or null], ...]; null where there is no value, or no answer. */
async function history(device, metric, labels) {
  const end = Date.now() / 1000;
  const query = new URLSearchParams({ metric, start: String(end - 3600), end: String(end), uuid: device.uuid, ...labels });
  try {
    const answer = await fetch(`api/v1/series?${query}`);
    if (!answer.ok) return null;
    const { series } = await answer.json();
    return series.find((one) => one.values.some((point) => point[1] !== null))?.values ?? null;
  } catch {
    return null; // the connection line says that nobody answers; what stands has its time
  }
}
