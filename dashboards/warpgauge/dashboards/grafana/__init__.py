"""A thin typed layer over grafanalib that writes current Grafana dashboards from catalog rows."""

from warpgauge.dashboards.grafana.figures import bar_gauge, stat
from warpgauge.dashboards.grafana.graphs import graph, heatmap
from warpgauge.dashboards.grafana.lanes import state_timeline, status_history
from warpgauge.dashboards.grafana.layout import Section, flow
from warpgauge.dashboards.grafana.maps import node_graph
from warpgauge.dashboards.grafana.model import Dashboard, Panel, Query, Row, Variable, changed, encode
from warpgauge.dashboards.grafana.parts import ABSENT, Levels, query
from warpgauge.dashboards.grafana.tables import Column, table
from warpgauge.dashboards.grafana.units import GRAFANA_UNITS, unit_of
from warpgauge.dashboards.grafana.variables import TAG, chosen, datasource, links, marks, number_box, values_of

__all__ = [
    "ABSENT",
    "GRAFANA_UNITS",
    "TAG",
    "Column",
    "Dashboard",
    "Levels",
    "Panel",
    "Query",
    "Row",
    "Section",
    "Variable",
    "bar_gauge",
    "changed",
    "chosen",
    "datasource",
    "encode",
    "flow",
    "graph",
    "heatmap",
    "links",
    "marks",
    "node_graph",
    "number_box",
    "query",
    "stat",
    "state_timeline",
    "status_history",
    "table",
    "unit_of",
    "values_of",
]
