// Values for people: base units in, the scaled unit out. "not reported" is never a zero.

const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export const ABSENT = "not reported";

export function bytes(value) {
  if (value === undefined || value === null) return ABSENT;
  let step = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 1024 && step < BYTES.length - 1) { scaled /= 1024; step += 1; }
  return `${scaled.toFixed(scaled >= 100 || step === 0 ? 0 : 1)} ${BYTES[step]}`;
}

export const rate = (value) => (value === undefined || value === null ? ABSENT : `${bytes(value)}/s`);
export const percent = (value) => (value === undefined || value === null ? ABSENT : `${(value * 100).toFixed(value < 0.0995 ? 1 : 0)} %`);

export function withUnit(value, unit) {
  if (value === undefined || value === null) return "–";
  switch (unit) {
    case "ratio": return percent(value);
    case "bytes": return bytes(value);
    case "bytes_per_second": return rate(value);
    case "seconds": return duration(value);
    case "celsius": return `${value.toFixed(1)} °C`;
    case "watts": return `${value.toFixed(0)} W`;
    case "hertz": return `${(value / 1e6).toFixed(0)} MHz`;
    default: return Number.isInteger(value) ? String(value) : value.toPrecision(3);
  }
}

/** 0.034 -> "34 ms", 75 -> "75 s", 4000 -> "1 h 7 min" */
export function duration(seconds) {
  if (seconds === undefined || seconds === null) return "–";
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(2))} ms`;
  if (seconds < 90) return `${Number(seconds.toPrecision(2))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  const hours = Math.floor(seconds / 3600);
  return `${hours} h ${Math.round((seconds - hours * 3600) / 60)} min`;
}

export const clockTime = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

/** since = "09:12 (42 min ago)" */
export function since(seconds, now) {
  return `${clockTime(seconds)} (${duration(Math.max(0, now - seconds))} ago)`;
}

export const words = (text) => text.replaceAll("_", " ");
export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
/** GPU-1f2e3d4c-… is told apart by its first eight characters in a grid; the full text stays in the title. */
export const shortUuid = (uuid) => (uuid.length > 14 ? `${uuid.slice(0, 12)}…` : uuid);
