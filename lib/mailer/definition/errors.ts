import vm from 'node:vm';
import { KillJob } from '../../job/definition/errors';
import { toError } from '../../support/async';

/**
 * A mail that cannot be built as asked: no sender, no recipient, a bad address, a line break in a header. Ends its job
 * in the dead set, for another try would ask for the same.
 */
export class InvalidMailError extends KillJob {
  override readonly name = 'InvalidMailError';
}

/** A file that is to be attached cannot be read. It may be there at the next try. */
export class AttachmentError extends Error {
  override readonly name = 'AttachmentError';
}

/** A mail for later names a mailer or an action that this app does not have: often an older process met a newer mail. */
export class UnknownMailerError extends Error {
  override readonly name = 'UnknownMailerError';
}

/** Thrown by `cancel()` inside a mailer: the mail is not sent, and nothing is wrong. */
export class MailCancelled extends Error {
  override readonly name = 'MailCancelled';
}

/** The action has no template, or its layout has none for a part that the action has. */
export class MissingTemplateError extends Error {
  override readonly name = 'MissingTemplateError';
}

/** A template or subject asked for a text that no locale file has. */
export class MissingTextError extends Error {
  override readonly name = 'MissingTextError';
}

/** Another run of the same job is sending this very mail at this moment. Try later: then it is known to be sent or not. */
export class DeliveryInProgressError extends Error {
  override readonly name = 'DeliveryInProgressError';
}

/**
 * The server took the mail for some recipients, and refused others only for now (4xx): the job's next run sends it to
 * these alone.
 */
export class PartialDeliveryError extends Error {
  override readonly name = 'PartialDeliveryError';

  /** @param pending what is still to be tried, with the server's answers. */
  constructor(readonly pending: readonly { readonly address: string; readonly answer: string }[]) {
    const answers = pending.map(({ address, answer }) => `${address}: ${answer}`).join('; ');
    super(`the server took the mail for the others, but not yet for ${answers}`);
  }
}

/** The server refused the mail for good (5xx). Ends its job in the dead set, where the answer is shown. */
export class PermanentDeliveryError extends KillJob {
  override readonly name = 'PermanentDeliveryError';

  /** @param answer what the server said, such as `550 5.1.1 no such user`. */
  constructor(
    readonly answer: string,
    readonly code: number,
    cause: unknown,
  ) {
    super(`the SMTP server refused the mail for good: ${answer}`, { cause });
  }
}

/** A template that does not compile, or fails while it renders. `template` is the file, `line` counts from 1 (null: unknown). */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';

  constructor(
    readonly template: string,
    readonly line: number | null,
    reason: string,
    cause: unknown,
  ) {
    super(`${template}${line === null ? '' : `:${line}`}: ${reason}`, { cause });
  }
}

/** From what EJS throws while it renders: `file:line`, an excerpt, and the reason; once for every include on the way. */
export function renderingError(template: string, thrown: unknown): TemplateError {
  if (thrown instanceof TemplateError) return thrown;
  const error = toError(thrown);
  const places = [...error.message.matchAll(/^(.+\.ejs):(\d+)$/gm)];
  const [, file = template, line] = places.at(-1) ?? [];
  const reason = error.message.split('\n\n').at(-1)?.trim() || error.name;
  return new TemplateError(file, line === undefined ? null : Number(line), reason, thrown);
}

/** EJS does not say where a template does not parse, so its script is parsed again with the lines kept. */
export function compilingError(template: string, source: string, thrown: unknown): TemplateError {
  const error = toError(thrown);
  const reason = error.message.split('\n')[0]?.replace(/ in .*$/, '') ?? error.name;
  return new TemplateError(template, unclosedLine(source) ?? syntaxErrorLine(source), reason, thrown);
}

function unclosedLine(source: string): number | null {
  const open = source.lastIndexOf('<%');
  return open > source.lastIndexOf('%>') ? lineAt(source, open) : null;
}

function lineAt(source: string, index: number): number {
  return source.slice(0, index).split('\n').length;
}

function syntaxErrorLine(source: string): number | null {
  const script = source.replace(/([\s\S]*?)(?:<%([-=_#%]?)([\s\S]*?)[-_]?%>|$)/g, (_, text: string, kind, code) => {
    const breaks = text.replace(/[^\n]/g, '');
    if (code === undefined || kind === '%') return breaks;
    if (kind === '#') return breaks + String(code).replace(/[^\n]/g, '');
    return kind === '=' || kind === '-' ? `${breaks};(${code})` : `${breaks};${code}`;
  });
  try {
    new vm.Script(`(function () {${script}\n})`, { filename: 'template' });
    return null;
  } catch (error) {
    const line = /^template:(\d+)/.exec(toError(error).stack ?? '')?.[1];
    return line === undefined ? null : Math.min(Number(line), source.split('\n').length);
  }
}
