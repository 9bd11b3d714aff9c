// What a person has in hand while the page is drawn anew: focus, marked text, how far a table is scrolled, what is unfolded.

/** Remember it of everything inside a node; the function that is returned puts it back once the content is new. */
export function hold(node) {
  const focused = within(node, document.activeElement) ? pathTo(node, document.activeElement) : null;
  const marked = marks(node);
  const scrolled = [...node.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  const unfolded = [...node.querySelectorAll("details[open] > summary[data-key]")].map((summary) => summary.dataset.key);
  return () => {
    for (const key of unfolded) {
      const summary = keyed(node, key);
      if (summary) summary.parentElement.open = true;
    }
    node.querySelectorAll(".scroll").forEach((box, index) => { if (scrolled[index]) box.scrollLeft = scrolled[index]; });
    if (focused) follow(node, focused)?.focus?.({ preventScroll: true });
    if (marked) mark(node, marked);
  };
}

const within = (node, inner) => inner && inner !== node && node.contains(inner);
const keyed = (node, key) => node.querySelector(`[data-key="${CSS.escape(key)}"]`);

/** From the nearest element with a data-key down, since what is listed may change its order. */
function pathTo(node, target) {
  const steps = [];
  let here = target;
  while (here !== node && here.dataset?.key === undefined) {
    steps.unshift([...here.parentNode.childNodes].indexOf(here));
    here = here.parentNode;
  }
  return { key: here === node ? null : here.dataset.key, steps };
}

function follow(node, { key, steps }) {
  const start = key === null ? node : keyed(node, key);
  return steps.reduce((here, step) => here?.childNodes[step], start) ?? null;
}

function marks(node) {
  const selection = document.getSelection();
  if (!selection || selection.isCollapsed || !within(node, selection.anchorNode) || !within(node, selection.focusNode)) return null;
  return [[selection.anchorNode, selection.anchorOffset], [selection.focusNode, selection.focusOffset]].map(([end, offset]) => ({ path: pathTo(node, end), offset }));
}

function mark(node, ends) {
  const [from, to] = ends.map(({ path, offset }) => {
    const end = follow(node, path);
    return end && [end, Math.min(offset, end.nodeType === Node.TEXT_NODE ? end.length : end.childNodes.length)];
  });
  if (from && to) document.getSelection().setBaseAndExtent(...from, ...to);
}
