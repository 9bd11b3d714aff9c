// What is open on the page lives in the URL, so that a link shows a colleague the same thing.

const parameters = new URLSearchParams(location.hash.slice(1));

export const get = (name) => parameters.get(name);

export function set(name, value) {
  if (value === null || value === undefined || value === "") parameters.delete(name);
  else parameters.set(name, value);
  history.replaceState(null, "", parameters.size ? `#${parameters}` : location.pathname + location.search);
}
