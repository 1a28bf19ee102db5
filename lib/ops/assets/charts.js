// Draws the charts with uPlot from the data in the page, and keeps them up to date. Without this script the table below
// them is open.
(() => {
  let section = document.querySelector('[data-charts]');
  if (!section || !window.uPlot) return;
  /** Figures change with each step of theirs, which is ten seconds or more; the last one with each part of it. */
  const EVERY_S = { least: 10, most: 30 };
  /** Minimum thickness of a layer that has room for its name, as a share of the chart. */
  const NAMED = 0.12;
  let data = { at: [], charts: [], marks: [] };
  let drawn = [];

  /** @returns false as long as there is nothing to draw. */
  const read = () => {
    const source = document.getElementById('chart-data');
    if (!source) return false;
    data = JSON.parse(source.textContent);
    section.querySelector('details').open = false;
    return true;
  };

  // Colours and dashes come from the style sheet, as those of the legend do.
  const probe = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  const hidden = document.createElement('span');
  hidden.hidden = true;
  hidden.append(probe);
  document.body.append(hidden);
  const color = (token) => {
    probe.style.color = `var(${token})`;
    return getComputedStyle(probe).color;
  };
  const styled = (className) => {
    probe.setAttribute('class', className);
    const { stroke, fill, strokeDasharray } = getComputedStyle(probe);
    const dash = strokeDasharray === 'none' ? [] : strokeDasharray.split(',').map(Number.parseFloat);
    return { stroke, fill, dash };
  };
  const faint = (rgb) => rgb.replace(/rgb\(([^)]+)\)/, 'rgba($1, .12)');
  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 16);

  // The topmost layer of a stack is painted first: each layer covers the one above it.
  const columns = ({ series, stacked }) => {
    if (!stacked) return series.map(({ values }) => values);
    let below = [];
    const sums = series.map(({ values }) => {
      below = values.map((value, i) => (value === null ? null : value + (below[i] ?? 0)));
      return below;
    });
    return sums.reverse();
  };
  const looks = ({ series, stacked }) => {
    if (!stacked) {
      return series.map(({ label, look }, i) => {
        const { stroke, dash } = styled(`ln ${look}`);
        const points = { show: false, filter: lone, size: 5, fill: stroke };
        return { label, stroke, dash, points, width: 1.5, fill: i === 0 ? faint(stroke) : undefined };
      });
    }
    const points = { show: false };
    return series.map(({ label, look }) => ({ label, points, width: 1, ...styled(`layer ${look}`) })).reverse();
  };

  // A single value between gaps would be invisible as a line, so it is drawn as a point.
  const lone = (u, index) => {
    const values = u.data[index];
    const known = (i) => (values[i] ?? null) !== null;
    return [...values.keys()].filter((i) => known(i) && !known(i - 1) && !known(i + 1));
  };

  // The upper end of the scale.
  const top = (chart) => Math.max(chart.max ?? 0, ...columns(chart).flat()) || 1;

  const limitLine = (limit) => (u) => {
    if (limit === null || limit > u.scales.y.max) return;
    const y = u.valToPos(limit, 'y', true);
    const { ctx, bbox } = u;
    const { stroke, dash } = styled('ln k4');
    ctx.save();
    ctx.strokeStyle = stroke;
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  };

  // Deploys and restarts. Labels that would overlap the one before are left out.
  const markLines = (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = color('--ink-2');
    ctx.font = `${10 * devicePixelRatio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textBaseline = 'top';
    ctx.textAlign = 'left';
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    let free = bbox.left;
    for (const { at, label } of [...data.marks].sort((a, b) => a.at - b.at)) {
      const x = u.valToPos(at, 'x', true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const { width } = ctx.measureText(label);
      const from = x + 3 + width > bbox.left + bbox.width ? x - 3 - width : x + 3;
      if (from < free) continue;
      ctx.fillText(label, from, bbox.top);
      free = from + width + 6;
    }
    ctx.restore();
  };

  // Writes the names to the left of the layers' last known values.
  const nameLayers = (chart, { over }) => {
    const { series } = chart;
    const max = top(chart);
    const last = Math.max(-1, ...series.map(({ values }) => values.findLastIndex((value) => value !== null)));
    let below = 0;
    for (const { label, values } of series) {
      const value = values[last] ?? 0;
      const middle = below + value / 2;
      below += value;
      if (value / max < NAMED) continue;
      const name = document.createElement('span');
      name.className = 'layer-name';
      name.textContent = label;
      name.style.right = `${100 - (last / (values.length - 1)) * 100}%`;
      name.style.top = `${100 - (middle / max) * 100}%`;
      over.append(name);
    }
  };

  const draw = () => {
    for (const chart of drawn) chart.destroy();
    drawn = [];
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    for (const one of data.charts) {
      const figure = section.querySelector(`[data-chart="${one.key}"]`);
      if (!figure) continue;
      const box = figure.querySelector('.canvas');
      const out = [...figure.querySelectorAll('[data-series]')];
      box.replaceChildren();
      const follow = (u) => {
        const { idx } = u.cursor;
        for (const b of out) {
          const { values, latest } = one.series[b.dataset.series] ?? { values: [], latest: '–' };
          b.textContent = idx == null ? (latest ?? '–') : (values[idx] ?? '–');
        }
      };
      const axis = { stroke: color('--ink-2'), font, ticks: { show: false } };
      const chart = new uPlot(
        {
          width: box.clientWidth,
          height: 140,
          padding: [6, 18, 0, 0],
          legend: { show: false },
          tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
          cursor: { y: false, drag: { x: false }, sync: { key: 'ops' }, points: { size: 6, show: !one.stacked } },
          scales: { y: { range: [0, top(one)] } },
          axes: [
            { ...axis, size: 22, gap: 4, grid: { show: false }, values: (_u, at) => at.map(clock), space: 70 },
            {
              ...axis,
              size: 34,
              gap: 6,
              grid: { stroke: color('--line'), width: 1 },
              // There is room for four characters.
              values: (_u, all) => all.map((n) => (n < 10_000 ? Number(n.toPrecision(3)) : `${n / 1000}k`)),
            },
          ],
          series: [{}, ...looks(one)],
          hooks: { draw: [limitLine(one.limit), markLines], setCursor: [follow] },
        },
        [data.at, ...columns(one)],
        box,
      );
      if (one.stacked) nameLayers(one, chart);
      drawn.push(chart);
    }
  };

  // The page has no figures when its tree has just started or Redis was unavailable: look for them on a fresh page.
  const find = async () => {
    try {
      const answer = await fetch(location.href, {
        headers: { Accept: 'text/html' },
        signal: AbortSignal.timeout(3000),
      });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const fresh = page.querySelector('[data-charts]');
      if (!fresh || section.contains(document.activeElement)) return;
      section.replaceWith(document.adoptNode(fresh));
      section = fresh;
      if (read()) draw();
    } catch {
      // The next refresh tries again.
    }
  };

  const refresh = async () => {
    if (data.charts.length === 0) return find();
    try {
      const answer = await fetch(section.dataset.charts, {
        headers: { Accept: 'application/json' },
        signal: AbortSignal.timeout(3000),
      });
      if (!answer.ok) return;
      data = await answer.json();
      // Not while the reader points at a chart: the figures under the cursor would jump.
      if (section.querySelector('.canvas:hover')) return;
      for (const one of data.charts) {
        const figure = section.querySelector(`[data-chart="${one.key}"]`);
        for (const b of figure?.querySelectorAll('[data-series]') ?? []) {
          b.textContent = one.series[b.dataset.series]?.latest ?? '–';
        }
      }
      draw();
    } catch {
      // The next refresh tries again.
    }
  };

  if (read()) draw();
  let width = innerWidth;
  addEventListener('resize', () => {
    if (innerWidth === width) return;
    width = innerWidth;
    draw();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  const keepUp = () => {
    const [first = 0, second = 0] = data.at;
    const seconds = Math.min(Math.max(second - first, EVERY_S.least), EVERY_S.most);
    setTimeout(async () => {
      if (!document.hidden) await refresh();
      keepUp();
    }, seconds * 1000);
  };
  keepUp();
})();
