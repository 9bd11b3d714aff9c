// Builds the page that draws panels with Grafana's own components; `make screenshots` runs it.
export default {
  base: "./",
  define: { "process.env": {} },
  build: { target: "es2022", minify: false, outDir: "dist", chunkSizeWarningLimit: 20000 },
  logLevel: "error",
};
