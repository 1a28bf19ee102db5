import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { COMMANDS, type Command, parseArgument, pathOf } from './commands';

/** What is sent back: a status, and JSON. */
export interface Answer {
  readonly status: number;
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A command that may be run, and its argument. */
export interface Order {
  readonly command: Command;
  readonly argument: number;
}

export function refusal(status: number, error: string, headers?: Readonly<Record<string, string>>): Answer {
  return { status, body: { error }, ...(headers ? { headers } : {}) };
}

/** What the request asks for, or why it cannot be had. Who has no token learns nothing else. */
export function readRequest(request: IncomingMessage, token: string): Order | Answer {
  if (!isAuthorized(request.headers.authorization, token))
    return refusal(403, 'The token is missing or wrong: send the one in the state file as "Authorization: Bearer …".');
  const [target = '/'] = (request.url ?? '/').split('?');
  const found = find(target);
  if (!found) {
    const known = COMMANDS.map(pathOf).join(', ');
    return refusal(404, `${target.slice(0, 100)} is no command. There are ${known}.`);
  }
  const { command, text } = found;
  if (request.method !== command.method)
    return refusal(405, `${command.name} is asked for with ${command.method}.`, { allow: command.method });
  if (request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0)
    return refusal(413, 'A command has no body.');
  try {
    return { command, argument: parseArgument(command, text) };
  } catch (error) {
    return refusal(400, error instanceof Error ? error.message : String(error));
  }
}

function find(target: string): { command: Command; text: string | undefined } | undefined {
  for (const command of COMMANDS) {
    const path = pathOf(command);
    if (target === path) return { command, text: undefined };
    if (command.argument && target.startsWith(`${path}/`)) return { command, text: target.slice(path.length + 1) };
  }
  return undefined;
}

/** Digests have one length, so the time it takes tells nothing of the token, nor of its length. */
function isAuthorized(header: string | undefined, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(header ?? ''), digest(`Bearer ${token}`));
}
