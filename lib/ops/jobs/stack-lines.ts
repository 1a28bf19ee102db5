import { isAppFrame, shortFrame } from '../../core/app-frames';
import { CAUSE } from '../../job/admin/job-json';

export interface StackLine {
  readonly text: string;
  /** `own`: the app's code. `library`: code of a package, Node or Catamount. `cause`: message of a cause. */
  readonly kind: 'own' | 'library' | 'cause';
}

/** Consecutive frames of libraries that are shown before the reader asks for more. */
const LIBRARY_FRAMES = 2;

/** The frames of a stack and the messages of causes between them. @param stack in the record's form. */
export function stackLines(stack: string): StackLine[] {
  const lines: StackLine[] = [];
  let within: 'message' | 'frames' | 'cause' = 'message';
  for (const line of stack.split('\n')) {
    if (line.startsWith(CAUSE)) {
      within = 'cause';
      lines.push({ text: line.slice(CAUSE.length), kind: 'cause' });
    } else if (/^ {4}at /.test(line)) {
      within = 'frames';
      lines.push({ text: shortFrame(line), kind: isAppFrame(line) ? 'own' : 'library' });
    } else if (within !== 'message') {
      // A further line of a cause's message, or of the properties that Node prints after the frames.
      lines.push({ text: line, kind: within === 'cause' ? 'cause' : 'library' });
    }
  }
  return lines;
}

/** Keeps the first two of library frames in a row. @returns undefined when that would hide fewer than two lines. */
export function withoutLibraryFrames(lines: readonly StackLine[]): StackLine[] | undefined {
  let inRow = 0;
  const kept = lines.filter(({ kind }) => {
    inRow = kind === 'library' ? inRow + 1 : 0;
    return inRow <= LIBRARY_FRAMES;
  });
  return kept.length + 1 < lines.length ? kept : undefined;
}
