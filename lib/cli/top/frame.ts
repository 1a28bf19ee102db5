import { printable } from '../../support/printable';
import { fit } from '../../support/text-table';
import { happenings, inFlight } from './happenings';
import { HELP } from './help';
import { processes } from './processes';
import { queues } from './queues';
import { summary } from './summary';
import { type Line, line, type Size, type View } from './view';

const KEYS = 'q quit  ↑↓ choose  r recycle  R phased restart  + - workers  p pause  h help';
/** From so many rows on, parts stand apart. */
const ROOMY = 20;
/** Below this there is no telling anything. */
const LEAST: Size = { columns: 40, rows: 8 };

/** What is shown: as many lines as the terminal has, none longer than it is wide, the last one for keys and answers. */
export function frame(view: View, size: Size, now = Date.now()): Line[] {
  const { columns, rows } = size;
  if (columns < LEAST.columns || rows < LEAST.rows) {
    return cut([line(`make it ${LEAST.columns}×${LEAST.rows}`), ...blank(rows)], size);
  }
  const body = view.help ? HELP : sections(view, columns, rows - 1, now);
  return cut([...[...body, ...blank(rows)].slice(0, rows - 1), bottom(view)], size);
}

function blank(rows: number): Line[] {
  return Array.from({ length: rows }, () => line());
}

/** The same without a terminal: all there is to tell, once. */
export function snapshot(view: View, columns: number, now = Date.now()): Line[] {
  const size = { columns, rows: 200 };
  const body = sections({ ...view, selected: -1 }, columns, size.rows, now);
  return cut(body, size);
}

function sections(view: View, columns: number, rows: number, now: number): Line[] {
  const head = summary(view, now, Math.max(1, Math.floor(rows / 8)));
  const room = rows - head.length - 1;
  // Both have their fair part first; what is left tells of what happens.
  const tree = processes(view, columns, Math.max(4, Math.ceil(room / 2)), now);
  const jobs = queues(view, columns, Math.max(4, Math.ceil(room / 3)));
  const left = rows - head.length - tree.length - jobs.length - 2;
  const running = inFlight(view, Math.max(0, Math.min(6, left - 1)));
  const past = happenings(view, Math.max(0, left - running.length - 1));
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

/** Whatever is in it (paths, last words of a process), the terminal shows it and obeys nothing of it. */
function cut(lines: readonly Line[], { columns, rows }: Size): Line[] {
  return lines.slice(0, rows).map(({ text, tone }) => line(fit(printable(text), columns), tone));
}
