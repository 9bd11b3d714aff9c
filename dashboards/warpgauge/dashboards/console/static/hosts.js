// "This host": the machine the console runs on, live each second; of a fleet its sum and its busiest machines.

import { byId, element, replace } from "./dom.js";
import { bytes, percent, rate, plural } from "./format.js";
import { sparkline } from "./charts.js";

const SECONDS_SHOWN = 300;
const MOST_WITH_CHARTS = 8; // hosts; with four charts for each of a thousand the page never came to rest
const BUSIEST = 5;

const CARDS = [
  { label: "CPU", read: (host) => host.cpu_ratio, show: percent,
    detail: (host) => [host.cpu_count ? plural(host.cpu_count, "CPU") : null, host.load1 === undefined ? null : `load ${host.load1.toFixed(2)}`] },
  { label: "Memory in use", read: (host) => host.memory_used_bytes, show: bytes,
    detail: (host) => [host.memory_total_bytes ? `of ${bytes(host.memory_total_bytes)} (${percent(host.memory_used_bytes / host.memory_total_bytes)})` : null] },
  { label: "Disk", read: (host) => sum(host.disk_read_bytes_per_second, host.disk_written_bytes_per_second), show: rate,
    detail: (host) => [`read ${rate(host.disk_read_bytes_per_second)}`, `written ${rate(host.disk_written_bytes_per_second)}`] },
  { label: "Network", read: (host) => sum(host.network_receive_bytes_per_second, host.network_transmit_bytes_per_second), show: rate,
    detail: (host) => [`in ${rate(host.network_receive_bytes_per_second)}`, `out ${rate(host.network_transmit_bytes_per_second)}`] },
];

const sum = (a, b) => (a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0));

const views = new Map(); // node -> {cards: [{value, detail, plot, times, values}]}

export function showHosts(live) {
  const real = live.hosts.filter((host) => !host.simulated);
  const box = byId("host");
  if (real.length === 0) {
    box.replaceChildren(element("p", { class: "empty" }, "No machine's own metrics have arrived yet."));
    views.clear();
    return;
  }
  byId("host-title").textContent = real.length === 1 ? `This host: ${real[0].node}` : "Hosts";
  if (real.length > MOST_WITH_CHARTS) {
    summarize(box, real);
    return;
  }
  const key = real.map((host) => host.node).join("\u0000");
  if (box.dataset.nodes !== key) build(box, real, key);
  for (const host of real) update(views.get(host.node), host, live.time);
}

function summarize(box, hosts) {
  views.clear();
  delete box.dataset.nodes;
  const measured = hosts.filter((host) => host.cpu_ratio !== undefined);
  const mean = measured.reduce((total, host) => total + host.cpu_ratio, 0) / measured.length;
  const busiest = measured.sort((a, b) => b.cpu_ratio - a.cpu_ratio).slice(0, BUSIEST);
  replace(box, element("p", { class: "detail" }, measured.length === 0
    ? `${plural(hosts.length, "host")} report; CPU in use is not known yet.`
    : `${plural(hosts.length, "host")} report. CPU in use: ${percent(mean)} on average, most on ${busiest.map((host) => `${host.node} (${percent(host.cpu_ratio)})`).join(", ")}.`));
}

function build(box, hosts, key) {
  views.clear();
  box.replaceChildren();
  box.dataset.nodes = key;
  for (const host of hosts) {
    const cards = CARDS.map((card) => {
      const value = element("p", { class: "value" }, "…");
      const detail = element("p", { class: "detail" });
      const chart = element("div", { class: "chart" });
      box.append(element("article", { class: "card" },
        element("h3", { class: "label" }, hosts.length > 1 ? `${host.node}: ${card.label}` : card.label), value, chart, detail));
      return { label: card.label, value, detail, chart, times: [], values: [] };
    });
    views.set(host.node, cards);
  }
  for (const cards of views.values()) // only once all cards stand is each as wide as it stays
    for (const view of cards) view.plot = sparkline(view.chart, view.label);
}

function update(cards, host, time) {
  CARDS.forEach((card, index) => {
    const view = cards[index];
    const value = card.read(host);
    view.value.textContent = card.show(value);
    view.detail.textContent = card.detail(host).filter(Boolean).join(" · ");
    view.times.push(time);
    view.values.push(value ?? null);
    while (view.times[0] < time - SECONDS_SHOWN) { view.times.shift(); view.values.shift(); }
    view.plot.setData([view.times, view.values]);
  });
}
