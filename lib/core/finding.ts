/** Something that a check has found in an app, or around it. */
export interface Finding {
  /** error: something fails or is lost. warning: it may, later or under load. note: there is nothing to do. */
  readonly severity: 'error' | 'warning' | 'note';
  /** Names the file or the thing. */
  readonly text: string;
  /** What to do; empty: the text says it. */
  readonly remedy: string;
  /** Default: the name of the check. */
  readonly id?: string;
  readonly subject?: string;
}

const finding =
  (severity: Finding['severity']) =>
  (text: string, remedy = '', id?: string): Finding => ({ severity, text, remedy, ...(id !== undefined && { id }) });

export const errorFinding = finding('error');
export const warningFinding = finding('warning');
export const noteFinding = finding('note');

export function asSentence({ text, remedy }: Pick<Finding, 'text' | 'remedy'>): string {
  return remedy === '' ? text : `${text}: ${remedy}`;
}
