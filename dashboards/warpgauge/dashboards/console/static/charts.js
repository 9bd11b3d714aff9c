import { clockTime } from "./format.js";

// uPlot, vendored; colors are read from the page's roles so that both themes work.

const role = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const SPARK_HEIGHT = 62;
const sparkWidth = (host) => Math.max(120, host.clientWidth || 200);

/** A small line without axes for a card, as wide as the card is and becomes. */
export function sparkline(host, label) {
  const plot = new uPlot({
    width: sparkWidth(host), height: SPARK_HEIGHT, padding: [4, 0, 2, 0],
    cursor: { show: false }, legend: { show: false },
    scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(high ?? 0, 1e-9) * 1.1] } },
    axes: [{ show: false }, { show: false }],
    series: [{}, { stroke: role("--accent"), width: 2, fill: `${role("--accent")}22`, points: { show: false } }],
  }, [[], []], host);
  host.setAttribute("role", "img");
  host.setAttribute("aria-label", `${label}, last five minutes`);
  new ResizeObserver(() => plot.setSize({ width: sparkWidth(host), height: SPARK_HEIGHT })).observe(host);
  return plot;
}

/** A chart with axes for the device panel. */
export function lines(host, title, times, values, format) {
  const axis = { stroke: role("--quiet"), grid: { stroke: role("--line"), width: 1 }, ticks: { stroke: role("--line") }, font: "12px system-ui" };
  return new uPlot({
    title: undefined, width: Math.max(280, host.clientWidth || 340), height: 160,
    legend: { show: false }, cursor: { drag: { setScale: false } },
    scales: { y: { range: (_, low, high) => (low === high ? [0, low > 0 ? low * 1.25 : 1] : uPlot.rangeNum(low, high, 0.1, true)) } }, // a flat zero would else reach up to 100, which is 10000 %
    axes: [{ ...axis, space: 90, values: (_, splits) => splits.map(clockTime) }, { ...axis, size: 82, values: (_, splits) => splits.map(format) }],
    series: [{}, { label: title, stroke: role("--accent"), width: 2, spanGaps: false, points: { show: false } }],
  }, [times, values], host);
}
