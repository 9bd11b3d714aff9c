// The status line in words, what was checked, what could not be judged, and what to try next.

import { byId, command, element, replace, table, tell } from "./dom.js";
import { clockTime, duration, plural, words } from "./format.js";

export function showStatus(status, findings) {
  const open = findings.filter((finding) => finding.ended === undefined && finding.severity !== "info" && !finding.muted);
  const real = open.filter((finding) => !finding.simulated);
  const simulated = open.length - real.length;
  tell(byId("status"), headline(status, real, simulated));
  tell(byId("status-detail"), detail(status));
  byId("simulated").hidden = !status.simulated_targets;
  byId("about").textContent = `warpgauge ${status.version} · ${plural(status.series, "series", "series")} from ${plural(status.sources.length, "source")} · last pass ${clockTime(status.time)}`;
}

function headline(status, real, simulated) {
  const down = status.sources.filter((source) => !source.up);
  const tail = simulated ? ` In the simulated fleet: ${plural(simulated, "finding")}.` : "";
  if (status.sources.length === 0) return "No source is configured, so nothing can be judged.";
  if (isSilent(status)) return sentence(`No source answers: ${down[0].error ?? "no reason given"}`);
  if (real.length) {
    const worst = real.find((finding) => finding.severity === "critical") ?? real[0];
    return `${plural(real.length, "finding needs", "findings need")} a look. First: ${words(worst.kind)} on ${worst.scope.node ?? worst.scope.job_id ?? worst.scope.cluster}.${tail}`;
  }
  const partly = down.length ? ` ${plural(down.length, "source does", "sources do")} not answer.` : "";
  return `Nothing is wrong here: no finding on real machines.${partly}${tail}`;
}

/** Whether nobody tells anything now. */
export const isSilent = (status) => status.sources.length > 0 && status.sources.every((source) => !source.up);
const sentence = (text) => (/[.?!]$/.test(text) ? text : `${text}.`);

function detail(status) {
  const read = status.sources.filter((source) => source.name !== "discovery").length;
  const real = read - (status.simulated_targets ?? 0);
  const longest = Math.max(0, ...status.checked.map((check) => check.window_seconds));
  return `${plural(status.checked.length, "check")} over ${plural(status.nodes, "node")} and ${plural(status.devices, "accelerator")}`
    + (status.simulated_targets ? ` (${plural(status.simulated_targets, "node")} of them simulated, ${real} real)` : "")
    + `, looking back up to ${duration(longest)}.`
    + (status.not_judged.length ? ` ${plural(status.not_judged.length, "thing")} could not be judged; why stands below.` : "");
}

export function showCoverage(status) {
  replace(byId("coverage"),
    element("div", {}, element("h3", {}, "Checked"), status.checked.length
      ? table(["check", "what", "looked at", "looks back"], status.checked.map((check) => [
          words(check.detector), check.what, check.entities === undefined ? "–" : String(check.entities), duration(check.window_seconds)]), { numeric: [2, 3] })
      : element("p", { class: "empty" }, "Nothing yet.")),
    element("div", {}, element("h3", {}, "Could not be judged"), status.not_judged.length
      ? table(["what", "why", "signal that is missing"], status.not_judged.map((gap) => [
          gap.what, gap.why, gap.missing?.length ? gap.missing.map((name) => element("code", {}, `${name} `)) : "–"]))
      : element("p", { class: "empty" }, "Every check had its signals."),
      element("h3", {}, "Sources"),
      table(["source", "state", "last answer"], status.sources.map((source) => [
        element("span", { class: "mono" }, source.target), source.up ? "✔ answers" : `✖ ${source.error ?? "does not answer"}`,
        source.last_success ? clockTime(source.last_success) : "never"]))));
}

export function showNext(status) {
  const section = byId("next-section");
  section.hidden = status.simulated_targets > 0 && status.devices > 0;
  if (section.hidden || section.dataset.built) return;
  section.dataset.built = "yes";
  replace(byId("next"),
    element("p", {}, "See what findings look like on a simulated fleet of 64 GPUs with four faults:"),
    command("warpgauge up --demo always"),
    element("p", {}, "Or read what your Prometheus already has (node_exporter is enough for the host checks):"),
    command("warpgauge analyze http://prometheus.example:9090"));
}

export function showRecommendations(recommendations) {
  const section = byId("recommendations-section");
  section.hidden = recommendations.length === 0;
  if (section.hidden) return;
  replace(byId("recommendations"), table(["what", "where", "why", "reversible"], recommendations.map((document) => {
    const data = document.data ?? document;
    const targets = (data.target ?? []).map((target) => `${target.type} ${target.name}`).join(", ");
    return [
      element("span", {}, words((data.kind ?? "").replaceAll("-", " ")), data.simulated ? element("span", {}, " ", element("span", { class: "badge simulated" }, "simulated")) : null),
      targets || "–", data.text?.summary ?? "", String(data.reversible ?? "–")];
  })));
}
