// Draws one of our dashboards with Grafana's components (@grafana/ui): window.drawDashboard({dashboard, answers, range}).
//
// `answers` are Prometheus' own, by panel id and refId. Stat, time series, bar gauge and table are Grafana's code; state
// timeline, status history, heatmap and node graph exist inside Grafana's server only and are drawn here in a simpler way,
// with the word "approximation" beside their title.
import React from "react";
import { createRoot } from "react-dom/client";
import {
  applyFieldOverrides,
  createTheme,
  dateTime,
  FieldConfigOptionsRegistry,
  FieldType,
  getDisplayProcessor,
  getFieldDisplayValues,
  renderLegendFormat,
  ThemeContext,
  toDataFrame,
  transformDataFrame,
  standardTransformersRegistry,
  standardTransformers,
} from "@grafana/data";
import { BarGauge, BigValue, GlobalStyles, PanelChrome, Table, TimeSeries } from "@grafana/ui";
import { lastValueFrom } from "rxjs";

const theme = createTheme({ colors: { mode: "dark" } });
const COLUMN = 58;
const ROW = 34;
const GAP = 8;

standardTransformersRegistry.setInit(() =>
  Object.values(standardTransformers)
    .filter((one, at, all) => all.findIndex((other) => other.id === one.id) === at)
    .map((one) => ({ id: one.id, name: one.name, transformation: () => Promise.resolve(one) })),
);

const registry = new FieldConfigOptionsRegistry();
const option = (id, path, isCustom) =>
  registry.register({
    id, path, isCustom, name: id, description: "", editor: () => null, override: () => null,
    process: (value) => value, shouldApply: () => true, getItemsCount: () => 0,
  });
for (const id of ["unit", "min", "max", "decimals", "displayName", "noValue", "thresholds", "mappings", "links", "color"]) option(id, id, false);
for (const id of ["lineWidth", "fillOpacity", "spanNulls", "showPoints", "drawStyle", "axisSoftMax", "cellOptions", "align", "width", "minWidth", "stacking", "filterable", "inspect"]) option(`custom.${id}`, id, true);

const legend = (template, labels) => {
  if (template === "__auto") return Object.entries(labels).filter(([name]) => name !== "__name__").map(([name, value]) => `${name}=${value}`).join(" ");
  return renderLegendFormat(template, labels);
};

function series(panel, answers) {
  return panel.targets.flatMap((target) =>
    (answers[target.refId] || []).map((one) => {
      const points = one.values || [one.value];
      return toDataFrame({
        refId: target.refId,
        fields: [
          { name: "Time", type: FieldType.time, values: points.map(([at]) => at * 1000) },
          { name: "Value", type: FieldType.number, labels: one.metric, values: points.map(([, value]) => Number(value)),
            config: { displayNameFromDS: legend(target.legendFormat, one.metric) } },
        ],
      });
    }),
  );
}

function tables(panel, answers) {
  return panel.targets.map((target) => {
    const rows = answers[target.refId] || [];
    const names = [...new Set(rows.flatMap((one) => Object.keys(one.metric)))].filter((name) => name !== "__name__").sort();
    return toDataFrame({
      refId: target.refId,
      fields: [
        { name: "Time", type: FieldType.time, values: rows.map((one) => one.value[0] * 1000) },
        ...names.map((name) => ({ name, type: FieldType.string, values: rows.map((one) => one.metric[name] ?? "") })),
        { name: panel.targets.length > 1 ? `Value #${target.refId}` : "Value", type: FieldType.number, values: rows.map((one) => Number(one.value[1])) },
      ],
    });
  });
}

const applied = (panel, data) => {
  const frames = applyFieldOverrides({
    data, fieldConfig: panel.fieldConfig, replaceVariables: (text) => text, theme, timeZone: "utc", fieldConfigRegistry: registry,
  });
  frames.forEach((frame, at) => frame.fields.forEach((field) => { field.state = { ...field.state, seriesIndex: at }; }));
  return frames;
};

function Empty({ panel }) {
  return <div data-empty={panel.title} style={{ padding: 16, color: theme.colors.text.secondary }}>{panel.fieldConfig.defaults.noValue}</div>;
}

function Figures({ panel, data, width, height, one }) {
  const values = getFieldDisplayValues({ fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text) => text, theme, data, timeZone: "utc" });
  return one({ values, width, height });
}

const figure = ({ panel }) => ({ values, width, height }) => (
  <BigValue theme={theme} width={width} height={height} value={values[0].display} colorMode={panel.options.colorMode} graphMode="none" justifyMode="auto" textMode="auto" />
);
const bars = ({ panel }) => ({ values, width, height }) => (
  <div>{values.map((value, at) => (
    <BarGauge key={at} theme={theme} width={width} height={Math.min(28, height / values.length - 4)} value={value.display} field={value.field} orientation="horizontal"
      displayMode={panel.options.displayMode} itemSpacing={8} lcdCellWidth={12} showUnfilled alignmentFactors={{ title: "x".repeat(28), text: "0000 XX" }} />))}</div>
);

// Rows of cells: what state timeline and status history show, without their merging and tooltips.
function Cells({ panel, data, range, width, height }) {
  const rows = data.slice(0, 24);
  const left = Math.min(width / 2, 16 + 7.2 * Math.max(...rows.map((frame) => (frame.fields[1].config.displayNameFromDS || "").length)));
  const tall = Math.min(26, (height - 8) / rows.length);
  return (
    <svg width={width} height={height}>
      {rows.map((frame, row) => {
        const [time, value] = frame.fields;
        const show = value.display ?? getDisplayProcessor({ field: value, theme });
        const wide = (width - left) / Math.max(1, time.values.length);
        const words = []; // above all cells, or the next cell covers them
        let last = null;
        return (
          <g key={row}>
            <text x={left - 8} y={row * tall + tall / 2 + 4} textAnchor="end" fontSize="12" fill={theme.colors.text.primary}>{value.config.displayNameFromDS}</text>
            {value.values.map((number, at) => {
              const shown = show(number);
              const word = panel.type === "state-timeline" && shown.text !== last ? shown.text : "";
              last = shown.text;
              const x = left + ((time.values[at] - range.from * 1000) / ((range.to - range.from) * 1000)) * (width - left);
              if (word) words.push({ x, word });
              return <rect key={at} x={x} y={row * tall + 1} width={Math.max(1, wide + 0.5)} height={tall - 3} fill={shown.color} />;
            })}
            {words.map(({ x, word }) => <text key={x} x={x + 4} y={row * tall + tall / 2 + 4} fontSize="11" fontWeight="600" fill="#111">{word}</text>)}
          </g>
        );
      })}
    </svg>
  );
}

function Heat({ panel, answers, range, width, height }) {
  const bound = (row) => (row.metric.le === "+Inf" ? Infinity : Number(row.metric.le));
  const rows = (answers.A || []).slice().sort((a, b) => bound(a) - bound(b));
  const left = 70;
  const counts = rows.map((row, at) => row.values.map(([time, value]) => [time, value - (at ? Number((rows[at - 1].values.find(([t]) => t === time) || [0, 0])[1]) : 0)]));
  const most = Math.max(1e-12, ...counts.flat().map(([, count]) => count));
  const tall = (height - 8) / rows.length;
  const wide = (width - left) / Math.max(1, ...rows.map((row) => row.values.length));
  return (
    <svg width={width} height={height}>
      {counts.map((row, at) => (
        <g key={at}>
          <text x={left - 6} y={height - 8 - at * tall - tall / 2 + 4} textAnchor="end" fontSize="11" fill={theme.colors.text.primary}>{rows[at].metric.le}</text>
          {row.filter(([, count]) => count > 1e-9).map(([time, count], column) => (
            <rect key={column} x={left + ((time - range.from) / (range.to - range.from)) * (width - left)} y={height - 8 - (at + 1) * tall} width={wide} height={tall - 1}
              fill={`hsl(${280 - 220 * Math.sqrt(count / most)} 70% ${25 + 40 * Math.sqrt(count / most)}%)`} />
          ))}
        </g>
      ))}
    </svg>
  );
}

function Circles({ answers, width, height }) {
  const nodes = (answers.A || []).map((one) => ({ ...one.metric, value: Number(one.value[1]) }));
  const edges = (answers.B || []).map((one) => ({ ...one.metric, value: Number(one.value[1]) }));
  const hubs = nodes.filter((node) => edges.some((edge) => edge.source === node.id));
  const across = Math.min(hubs.length, Math.ceil(Math.sqrt(hubs.length * (width / height))));
  const cell = { w: width / across, h: height / Math.ceil(hubs.length / across) };
  const radius = Math.min(cell.w, cell.h) / 2 - 36; // room for the name below
  return (
    <svg width={width} height={height}>
      {hubs.map((hub, at) => {
        const x = ((at % across) + 0.5) * cell.w;
        const y = (Math.floor(at / across) + 0.5) * cell.h;
        const own = edges.filter((edge) => edge.source === hub.id);
        return (
          <g key={hub.id}>
            {own.map((edge, number) => {
              const angle = (2 * Math.PI * number) / own.length;
              const [ex, ey] = [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
              const node = nodes.find((one) => one.id === edge.target);
              return (
                <g key={edge.id}>
                  <line x1={x} y1={y} x2={ex} y2={ey} stroke="#888" />
                  <circle cx={ex} cy={ey} r="14" fill="#1f60c4" /><text x={ex} y={ey + 4} textAnchor="middle" fontSize="10" fill="#fff">{node && Math.round(node.value)}</text>
                </g>
              );
            })}
            <circle cx={x} cy={y} r="20" fill="#37872d" /><text x={x} y={y + 4} textAnchor="middle" fontSize="11" fill="#fff">{hub.value}</text>
            <text x={x} y={y + cell.h / 2 - 4} textAnchor="middle" fontSize="12" fill={theme.colors.text.primary}>{hub.title}</text>
          </g>
        );
      })}
    </svg>
  );
}

const APPROXIMATED = { "state-timeline": Cells, "status-history": Cells, heatmap: Heat, nodeGraph: Circles };

function Drawn({ panel, answers, range, width, height }) {
  const has = panel.targets.some((target) => (answers[target.refId] || []).length > 0);
  if (!has) return <Empty panel={panel} />;
  const Approximation = APPROXIMATED[panel.type];
  if (Approximation) return <Approximation panel={panel} answers={answers} data={applied(panel, series(panel, answers))} range={range} width={width} height={height} />;
  if (panel.type === "table") return <Rows panel={panel} answers={answers} width={width} height={height} />;
  const data = applied(panel, series(panel, answers));
  if (panel.type === "timeseries") {
    const span = { from: dateTime(range.from * 1000), to: dateTime(range.to * 1000), raw: { from: "now-1h", to: "now" } };
    return <TimeSeries frames={data} structureRev={1} timeRange={span} timeZone="utc" width={width} height={height} legend={panel.options.legend} options={panel.options} />;
  }
  return <Figures panel={panel} data={data} width={width} height={height} one={panel.type === "stat" ? figure({ panel }) : bars({ panel })} />;
}

function Rows({ panel, answers, width, height }) {
  const [frame, setFrame] = React.useState(null);
  React.useEffect(() => {
    const context = { interpolate: (text) => text };
    lastValueFrom(transformDataFrame(panel.transformations || [], tables(panel, answers), context))
      .then((out) => setFrame(applied(panel, out)[0]))
      .catch((error) => setFrame({ error: String(error) }));
  }, []);
  if (frame?.error || frame?.length === 0) return <pre data-error={panel.title}>{frame.error || "no rows"}</pre>;
  return frame ? <Table data={frame} width={width} height={height} /> : null;
}

class Guard extends React.Component {
  state = {};
  static getDerivedStateFromError(error) { return { error }; }
  render() { return this.state.error ? <pre data-error={this.props.title} style={{ color: "red" }}>{String(this.state.error)}</pre> : this.props.children; }
}

function Board({ dashboard, answers, range }) {
  const bottom = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div id="board" style={{ position: "relative", width: 24 * COLUMN, height: bottom * ROW + 56, background: theme.colors.background.canvas, color: theme.colors.text.primary, fontFamily: "Inter, Helvetica, Arial, sans-serif" }}>
        <div style={{ height: 56, padding: "14px 12px", boxSizing: "border-box", fontSize: 18 }}>{dashboard.title} <span style={{ color: theme.colors.text.secondary, fontSize: 13 }}>simulated devices, drawn with Grafana's components</span></div>
        {dashboard.panels.map((panel) => {
          const { x, y, w, h } = panel.gridPos;
          const place = { position: "absolute", left: x * COLUMN + 4, top: y * ROW + 56, width: w * COLUMN - GAP, height: h * ROW - GAP };
          if (panel.type === "row") return <div key={panel.id} style={{ ...place, fontWeight: 600, paddingTop: 6 }}>{panel.title}</div>;
          const title = APPROXIMATED[panel.type] ? `${panel.title} (approximation)` : panel.title;
          return (
            <div key={panel.id} data-panel={panel.title} style={place}>
              <Guard title={panel.title}>
                <PanelChrome title={title} width={place.width} height={place.height}>
                  {(width, height) => <Guard title={panel.title}><Drawn panel={panel} answers={answers[panel.id] || {}} range={range} width={width} height={height} /></Guard>}
                </PanelChrome>
              </Guard>
            </div>
          );
        })}
      </div>
    </ThemeContext.Provider>
  );
}

window.drawDashboard = (given) => createRoot(document.getElementById("root")).render(<Board {...given} />);
