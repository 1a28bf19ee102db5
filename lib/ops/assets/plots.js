// Puts uPlot where the server has drawn: the same plots, with a cursor, and up to date. Without it they are complete.
(() => {
  let section = document.querySelector('[data-plots]');
  if (!section || !window.uPlot) return;
  const EVERY_MS = 10_000;
  const COLORS = {
    k1: '--busy',
    k2: '--ink-2',
    k3: '--bad',
    k5: '--warn',
    p: '--m-primary',
    w0: '--m-worker-0',
    w1: '--m-worker-1',
    w2: '--m-worker-2',
    w3: '--m-worker-3',
    j: '--m-jobs',
  };
  const DASHES = { k2: [3, 2], k5: [6, 3] };
  let data = { at: [], plots: [] };
  let drawn = [];

  /** @returns false as long as there is nothing to draw. */
  const read = () => {
    const source = document.getElementById('plot-data');
    if (source) data = JSON.parse(source.textContent);
    return source !== null;
  };

  const probe = document.createElement('span');
  probe.hidden = true;
  document.body.append(probe);
  const color = (token) => {
    probe.style.color = `var(${token})`;
    return getComputedStyle(probe).color;
  };
  const faint = (rgb) => rgb.replace(/rgb\(([^)]+)\)/, 'rgba($1, .12)');
  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 16);

  // Of a stack the topmost layer is painted first: each covers what is above it.
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
        const stroke = color(COLORS[look]);
        return { label, stroke, width: 1.5, dash: DASHES[look], fill: i === 0 ? faint(stroke) : undefined };
      });
    }
    const edge = color('--panel');
    return series.map(({ label, look }) => ({ label, stroke: edge, width: 1, fill: color(COLORS[look]) })).reverse();
  };

  const isSparse = ({ series, stacked }, i) =>
    !stacked && (series[i]?.values.filter((value) => value !== null).length ?? 0) < 3;

  const limitLine = (limit) => (u) => {
    if (limit === null) return;
    const y = u.valToPos(limit, 'y', true);
    const { ctx, bbox } = u;
    ctx.save();
    ctx.strokeStyle = color('--warn');
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  };

  // As the server writes them: where they have room.
  const names = (labels) => (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.font = `${11 * devicePixelRatio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.fillStyle = color('--ink');
    ctx.textAlign = 'right';
    ctx.textBaseline = 'middle';
    for (const { x, y, text } of labels) {
      const left = bbox.left + (bbox.width * x) / 100 - 6 * devicePixelRatio;
      ctx.fillText(text, left, bbox.top + (bbox.height * y) / 100);
    }
    ctx.restore();
  };

  const draw = () => {
    for (const { plot } of drawn) plot.destroy();
    drawn = [];
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    for (const one of data.plots) {
      const figure = section.querySelector(`[data-plot="${one.key}"]`);
      if (!figure || one.series.length === 0) continue;
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
      const plot = new uPlot(
        {
          width: box.clientWidth,
          height: 140,
          padding: [6, 18, 0, 0],
          legend: { show: false },
          tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
          cursor: { y: false, drag: { x: false }, sync: { key: 'ops' }, points: { size: 6, show: !one.stacked } },
          scales: { y: { range: [0, one.max] } },
          axes: [
            { ...axis, size: 22, gap: 4, grid: { show: false }, values: (_u, at) => at.map(clock), space: 70 },
            {
              ...axis,
              size: 34,
              gap: 6,
              grid: { stroke: color('--line'), width: 1 },
              splits: () => one.ticks.map(({ value }) => value),
              values: () => one.ticks.map(({ text }) => text),
            },
          ],
          // So few would not be seen as a line.
          series: [{}, ...looks(one).map((look, i) => ({ ...look, points: { show: isSparse(one, i), size: 5 } }))],
          hooks: { draw: [limitLine(one.limit), names(one.labels)], setCursor: [follow] },
        },
        [data.at, ...columns(one)],
        box,
      );
      drawn.push({ plot, box });
    }
  };

  // Of a tree that has just started the first figures are yet to come; or Redis was away.
  const find = async () => {
    try {
      const answer = await fetch(location.href, {
        headers: { Accept: 'text/html' },
        signal: AbortSignal.timeout(3000),
      });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const fresh = page.querySelector('[data-plots]');
      if (!fresh || section.contains(document.activeElement)) return;
      section.replaceWith(document.adoptNode(fresh));
      section = fresh;
      if (read()) draw();
    } catch {
      // The next time, perhaps.
    }
  };

  const refresh = async () => {
    if (data.plots.length === 0) return find();
    try {
      const answer = await fetch(section.dataset.plots, {
        headers: { Accept: 'application/json' },
        signal: AbortSignal.timeout(3000),
      });
      if (!answer.ok) return;
      data = await answer.json();
      // Not under the reader's cursor: the figures that it shows would jump.
      if (section.querySelector('.canvas:hover')) return;
      for (const one of data.plots) {
        const figure = section.querySelector(`[data-plot="${one.key}"]`);
        const total = figure?.querySelector('[data-total]');
        if (total) total.textContent = one.total;
        for (const b of figure?.querySelectorAll('[data-series]') ?? []) {
          b.textContent = one.series[b.dataset.series]?.latest ?? '–';
        }
      }
      draw();
    } catch {
      // The next time, perhaps.
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
  setInterval(() => {
    if (!document.hidden) refresh();
  }, EVERY_MS);
})();
