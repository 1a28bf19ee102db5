import path from 'node:path';

/** A line of a stack trace. */
export interface StackLine {
  readonly text: string;
  /** `own`: the app's code. `library`: of a package, of Node or of Catamount. `cause`: the message of what caused it. */
  readonly kind: 'own' | 'library' | 'cause';
}

export interface ShownError {
  /** Such as `TypeError`; '' where it has none. */
  readonly name: string;
  readonly message: string;
}

const NAMED = /^([A-Za-z_$][\w$.]*)(?:: |$)/;
const CAUSE = 'Caused by: ';
/** Shown in a row before one asks for more. */
const LIBRARY_FRAMES = 2;

/** @param text of the error without its frames; what its causes say is left out. */
export function nameAndMessage(text: string): ShownError {
  const own = text.split(`\n${CAUSE}`, 1)[0] ?? '';
  const name = NAMED.exec(own)?.[1] ?? '';
  return { name, message: name === '' ? own : own.slice(name.length).replace(/^: /, '') };
}

/** The frames, and the causes between them. @param stack as the record has it. */
export function stackLines(stack: string): StackLine[] {
  const lines: StackLine[] = [];
  let within: 'message' | 'frames' | 'cause' = 'message';
  for (const line of stack.split('\n')) {
    if (line.startsWith(CAUSE)) {
      within = 'cause';
      lines.push({ text: line.slice(CAUSE.length), kind: 'cause' });
    } else if (/^ {4}at /.test(line)) {
      within = 'frames';
      lines.push({ text: shortened(line), kind: isOwn(line) ? 'own' : 'library' });
    } else if (within !== 'message') {
      // Of a message in several lines, or of the properties that Node shows behind frames.
      lines.push({ text: line, kind: within === 'cause' ? 'cause' : 'library' });
    }
  }
  return lines;
}

/** What one mostly looks for: of libraries' frames in a row only the first ones. @returns undefined: that is all of it. */
export function essence(lines: readonly StackLine[]): StackLine[] | undefined {
  let inRow = 0;
  const kept = lines.filter(({ kind }) => {
    inRow = kind === 'library' ? inRow + 1 : 0;
    return inRow <= LIBRARY_FRAMES;
  });
  return kept.length + 1 < lines.length ? kept : undefined;
}

/** Catamount's own code, as it runs and as source maps tell of it; the sample app beside it is none of it. */
const LIB = path.resolve(__dirname, '../..');
const OURS = [LIB, LIB.replace(/([\\/])dist[\\/]lib$/, '$1lib')].map((folder) => folder + path.sep);
const HERE = process.cwd() + path.sep;

function isOwn(frame: string): boolean {
  if (/\(?node:|[\\/]node_modules[\\/]|<anonymous>\)?$/.test(frame)) return false;
  return !OURS.some((folder) => frame.includes(folder) && !frame.includes(`${folder}app${path.sep}`));
}

/** Files as one knows them: from the folder that the app was started in. */
function shortened(frame: string): string {
  return frame.trim().replace('file://', '').replace(HERE, '');
}
