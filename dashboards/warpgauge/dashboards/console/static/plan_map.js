// The pool as a map: a box per node, a square per device, as it is and as it would be.

import { element } from "./dom.js";
import { plural } from "./format.js";

const WHOLE = 1000; // thousandths of a device

export function nodeMap(plan) {
  if (!plan.nodes.length) return null;
  const changed = plan.nodes.filter((node) => node.changes);
  const others = plan.nodes.filter((node) => !node.changes);
  const more = plan.more.nodes ?? 0;
  const rest = others.length + more;
  return element("div", { class: "plan-map" },
    element("h3", {}, changed.length ? `The pool: ${plural(changed.length, "node changes", "nodes change")}` : "The pool: no node changes"),
    element("p", { class: "legend" }, "filled = in use · part filled = shared · empty = free · + arrives · − leaves; a device under the pointer tells whose it is"),
    changed.length ? element("div", { class: "plan-nodes" }, changed.map(changedNode)) : null,
    rest ? element("details", { open: changed.length === 0 && rest <= 32 },
      element("summary", { "data-key": "unchanged-nodes" }, `${plural(rest, "node stays", "nodes stay")} as ${rest === 1 ? "it is" : "they are"}`),
      element("div", { class: "plan-nodes" }, others.map(quietNode)),
      more ? element("p", { class: "quiet" }, `and ${plural(more, "node")} more`) : null) : null);
}

function changedNode(node) {
  return element("div", { class: "plan-node", role: "img", "aria-label": `${node.name}: now ${usage(node.before)}; after the plan ${usage(node.after)}` },
    title(node),
    strip("now", node.before, node.after, "−"),
    strip("after", node.after, node.before, "+"));
}

function quietNode(node) {
  return element("div", { class: "plan-node", role: "img", "aria-label": `${node.name}: ${usage(node.before)}` },
    title(node), strip("", node.before, node.before, ""));
}

function title(node) {
  const about = [node.name, node.model, node.zone ? `zone ${node.zone}` : null].filter(Boolean).join(" · ");
  return element("p", { class: "plan-node-name", title: about }, node.name);
}

function usage(devices) {
  const used = devices.filter((device) => device.used > 0).length;
  const names = [...new Set(devices.flatMap((device) => device.by))];
  return `${used} of ${plural(devices.length, "device")} in use${names.length ? ` by ${names.join(", ")}` : ""}`;
}

/** One row of devices; `mark` stands on those that the other row does not hold in the same way. */
function strip(label, devices, other, mark) {
  return element("div", { class: "plan-strip", "aria-hidden": "true" },
    label ? element("span", { class: "plan-when" }, label) : null,
    devices.map((device, index) => {
      const differs = device.by.some((name) => !other[index]?.by.includes(name)) || device.used > (other[index]?.used ?? 0);
      const kind = device.used >= WHOLE ? "whole" : device.used > 0 ? "part" : "free";
      const who = device.used > 0 ? `${device.used / WHOLE} in use by ${device.by.join(", ") || "others"}` : "free";
      return element("span", { class: `plan-device ${kind}${differs ? " differs" : ""}`, title: `GPU ${index}: ${who}` }, differs ? mark : "");
    }));
}
