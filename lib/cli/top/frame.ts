import type { TreeStatus } from '../../cluster/status';
import { formatSpan } from '../../support/duration';
import { megabytes, percent, rate, UNKNOWN } from '../../support/figures';
import { escapeControls } from '../../support/text';
import { truncate } from '../../support/text-table';
import { events, inFlight, processes, queues } from './sections';
import { judgementLines } from './stores';
import { formatCount, formatTime, type Line, line, type Size, type View } from './view';

const KEYS = 'q quit  ↑↓ choose  r recycle  R phased restart  + - workers  p pause  h help';
/** At this many rows or more, an empty line separates the sections. */
const ROOMY = 20;
/** Lines for issues, however small the terminal is: at 8 rows they take all but the title and the headline. */
const MIN_ISSUE_LINES = 5;
/** A smaller terminal has no room for anything useful. */
const MIN_SIZE: Size = { columns: 40, rows: 8 };

/**
 * Draws one screen: as many lines as the terminal has, none wider than it. The last line is for keys, questions and
 * messages.
 */
export function frame(view: View, size: Size, now = Date.now()): Line[] {
  const { columns, rows } = size;
  if (columns < MIN_SIZE.columns || rows < MIN_SIZE.rows) {
    return cut([line(`enlarge to ${MIN_SIZE.columns}×${MIN_SIZE.rows}`), ...blank(rows)], size);
  }
  const body = view.help ? HELP : sections(view, columns, rows - 1, now);
  return cut([...[...body, ...blank(rows)].slice(0, rows - 1), bottom(view)], size);
}

function blank(rows: number): Line[] {
  return Array.from({ length: rows }, () => line());
}

/** Draws the same content for an output that is not a terminal: everything once, with nothing selected. */
export function snapshot(view: View, columns: number, now = Date.now()): Line[] {
  const size = { columns, rows: 200 };
  const body = sections({ ...view, selected: -1 }, columns, size.rows, now);
  return cut(body, size);
}

function sections(view: View, columns: number, rows: number, now: number): Line[] {
  const head = summary(view, now, Math.max(MIN_ISSUE_LINES, Math.floor(rows / 8)));
  const room = rows - head.length - 1;
  // Processes and queues get their share first. Requests in flight and events share the remaining rows.
  const tree = processes(view, columns, Math.max(4, Math.ceil(room / 2)), now);
  const jobs = queues(view, columns, Math.max(4, Math.ceil(room / 3)));
  const left = rows - head.length - tree.length - jobs.length - 2;
  const running = inFlight(view, Math.max(0, Math.min(6, left - 1)));
  const past = events(view, Math.max(0, left - running.length - 1));
  return [head, tree, jobs, running, past]
    .filter((part) => part.length > 0)
    .flatMap((part, i) => (i === 0 || rows < ROOMY ? part : [line(), ...part]))
    .slice(0, rows);
}

function bottom({ question, message, help }: View): Line {
  if (question !== undefined) return line(`${question} y/n`, 'strong');
  if (message) return message;
  return line(help ? 'any key: back' : KEYS, 'faint');
}

/**
 * Truncates every line to the width, and escapes control characters: paths and error messages must not control the
 * terminal.
 */
function cut(lines: readonly Line[], { columns, rows }: Size): Line[] {
  return lines.slice(0, rows).map(({ text, tone }) => line(truncate(escapeControls(text), columns), tone));
}

/**
 * The identity of the tree, its health, its request rates and its memory.
 * @param most the number of lines that may list problems.
 */
export function summary(view: View, now: number, most: number): Line[] {
  const { treeStatus, silence } = view;
  const clock = new Date(now).toTimeString().slice(0, 8);
  if (!treeStatus)
    return [line(`catamount top  ${clock}`, 'strong'), line(silence ?? 'Asking the tree …', silence ? 'bad' : 'faint')];
  const { app, name, stats } = treeStatus;
  const up = formatSpan(now - Date.parse(stats.startedAt));
  const title = `${app} on ${name}, pid ${stats.pid}, up ${up}, phase ${stats.phase}  ${clock}`;
  const state =
    silence === undefined
      ? judgementLines(view.stores.systemStatus, treeStatus, new Date(now), most)
      : [line(`! The data below is out of date, asking the tree again: ${silence}`, 'bad')];
  return [line(title, 'strong'), ...state, requestsLine(view, treeStatus), memoryLine(treeStatus)];
}

function requestsLine({ rates }: View, { rates: treeRates }: TreeStatus): Line {
  const { requestsPerS, p50Ms, p99Ms, failingPerS } = rates;
  const parts = [
    `Requests  ${rate(requestsPerS)}/s`,
    `p50 ${formatTime(p50Ms)}`,
    `p99 ${formatTime(p99Ms)}`,
    `5xx ${rate(failingPerS)}/s`,
    `${formatCount(treeRates.shed)} shed in the last minute`,
  ];
  return line(parts.join('  '), treeRates.shed > 0 || (failingPerS ?? 0) > 0 ? 'warn' : 'plain');
}

function memoryLine({ stats, limits }: TreeStatus): Line {
  const { pssMb: used, limitMb: limit } = stats.memory;
  if (limit === null) return line(`Memory    ${megabytes(used)}, no limit`);
  const share = used === null ? UNKNOWN : percent(used / limit);
  const high = used !== null && limits.recycleAboveMb !== null && used > limits.recycleAboveMb;
  return line(`Memory    ${megabytes(used)} of ${limit} MB (${share})`, high ? 'warn' : 'plain');
}

/** The help screen, opened by the key h. */
export const HELP: readonly Line[] = [
  line('catamount top: this tree, once a second', 'strong'),
  line(),
  line('  ↑ ↓ tab   choose a worker'),
  line('  r         recycle it: start a new one in its place (asks first)'),
  line('  R         phased restart: all workers, then the job processor (asks first)'),
  line('  + -       add a worker, remove one'),
  line('  p         pause jobs: running ones finish, no more begin; again: resume'),
  line('  space     refresh now'),
  line('  q Ctrl-C  quit; the tree keeps running'),
  line(),
  line('  state     with the time until the process is killed, or started again'),
  line('  busy      requests in flight / slots; for jobs, running / maximum at once'),
  line('  wait      requests waiting for a slot'),
  line('  lag       delay of the event loop in the last second, 99th percentile'),
  line('  cpu       share of one core; memory: proportional set size, which adds up'),
  line('  blocked   jobs that wait for the concurrency limit of their class'),
  line('  latency   how long the next job has waited'),
];
