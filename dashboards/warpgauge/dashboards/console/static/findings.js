// Findings, ranked: what, where, since when, how sure, what to do, with the numbers that show it.

import { byId, element, replace, table } from "./dom.js";
import { duration, percent, plural, since, withUnit, words } from "./format.js";
import * as place from "./place.js";

const GLYPH = { critical: "✖", warning: "▲", info: "ℹ" };
const MUTED = { silence: "silenced", dismissal: "dismissed", breaker: "held back" };
const SILENT = "No source answers, so nothing can be said about now.";
const RANK = { critical: 2, warning: 1, info: 0 };

export function showFindings(findings, now, { ready, silent }) {
  const open = findings.filter((finding) => finding.ended === undefined);
  const ended = findings.filter((finding) => finding.ended !== undefined);
  open.sort((a, b) => Number(Boolean(a.muted)) - Number(Boolean(b.muted)) || RANK[b.severity] - RANK[a.severity] || (b.impact?.lost_device_seconds ?? 0) - (a.impact?.lost_device_seconds ?? 0));
  const heard = open.filter((finding) => !finding.muted).length;
  byId("findings-count").textContent = open.length ? (heard === open.length ? String(heard) : `${heard} + ${open.length - heard} muted`) : "";
  const empty = element("p", { class: "empty" }, silent ? SILENT : ready ? "Nothing found. What was checked, and what could not be judged, stands below." : "The first pass over the data has not finished yet.");
  replace(byId("findings"),
    open.length ? open.map((finding) => article(finding, now)) : empty,
    ended.length ? element("details", {},
      element("summary", { "data-key": "ended" }, `${plural(ended.length, "finding")} ended in the last minutes`),
      ended.map((finding) => article(finding, now))) : null);
}

function article(finding, now) {
  const isOpen = place.get("finding") === finding.id;
  return element("article", { class: `finding ${finding.severity}`, "data-key": finding.id, "aria-label": `${finding.severity}: ${words(finding.kind)}` },
    element("header", {},
      element("span", { class: `severity ${finding.severity}` }, `${GLYPH[finding.severity]} ${finding.severity}`),
      element("h3", {}, words(finding.kind)),
      finding.simulated ? element("span", { class: "badge simulated" }, "simulated") : null,
      finding.muted ? element("span", { class: "badge", title: finding.muted.reason }, MUTED[finding.muted.by] ?? "muted") : null,
      element("span", { class: "where" }, where(finding.scope), element("br"), `since ${since(finding.since, now)}`,
        finding.ended ? `, ended ${since(finding.ended, now)}` : null)),
    element("p", {}, finding.summary),
    finding.muted ? element("p", { class: "quiet" }, mutedWords(finding.muted)) : null,
    element("p", { class: "remedy" }, element("strong", {}, "Do: "), finding.remedy),
    details(finding, isOpen));
}

function mutedWords(muted) {
  const until = muted.until === undefined ? "" : ` until ${new Date(muted.until * 1000).toLocaleString()}`;
  return `Nobody is told of it and nothing is recommended on it: ${MUTED[muted.by] ?? "muted"}${until} (${muted.reason}).`;
}

function details(finding, isOpen) {
  const box = element("details", { open: isOpen },
    element("summary", { "data-key": `finding-${finding.id}` },
      `Evidence · ${percent(finding.confidence)} sure${impact(finding.impact)}`),
    table(["metric", "value", "normal", "threshold", "over"], finding.evidence.map((row) => [
      element("span", {}, element("code", {}, row.metric), row.whose ? ` of job ${row.whose.job_id}` : null), withUnit(row.value, row.unit), withUnit(row.baseline, row.unit), withUnit(row.threshold, row.unit),
      row.window_seconds ? duration(row.window_seconds) : "–"]), { numeric: [1, 2, 3, 4] }),
    element("p", { class: "quiet" }, element("a", { href: `runbooks/${finding.kind}` }, `Runbook: ${words(finding.kind)}`), ` · finding ${finding.id}`,
      finding.impact?.method ? `; impact computed by: ${finding.impact.method}` : null));
  box.addEventListener("toggle", () => {
    if (box.open) place.set("finding", finding.id);
    else if (place.get("finding") === finding.id) place.set("finding", null);
  });
  return box;
}

function impact(given) {
  if (!given) return "";
  const parts = [];
  if (given.slowdown_ratio !== undefined) parts.push(`${((given.slowdown_ratio - 1) * 100).toFixed(0)} % slower`);
  if (given.lost_device_seconds !== undefined) parts.push(`${(given.lost_device_seconds / 3600).toFixed(1)} device-hours lost`);
  return parts.length ? ` · ${parts.join(", ")}` : "";
}

function where(scope) {
  const place_ = [scope.node, scope.uuid, scope.job_id ? `job ${scope.job_id}` : null, scope.rank === undefined ? null : `rank ${scope.rank}`];
  return place_.filter(Boolean).join(" · ") || scope.cluster || "";
}
