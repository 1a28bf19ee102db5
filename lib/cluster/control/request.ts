import type { IncomingMessage } from 'node:http';
import { isSameSecret } from '../../support/same-secret';
import { commandPath, parseArguments, TREE_COMMANDS, type TreeCommand } from './commands';

export interface Answer {
  readonly status: number;
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Invocation {
  readonly command: TreeCommand;
  readonly args: readonly number[];
}

export function refusal(status: number, error: string, headers?: Readonly<Record<string, string>>): Answer {
  return { status, body: { error }, ...(headers ? { headers } : {}) };
}

/** Parses a request. @returns the command, or the refusal; a caller without the token learns nothing else. */
export function readRequest(request: IncomingMessage, token: string): Invocation | Answer {
  if (!isSameSecret(request.headers.authorization ?? '', `Bearer ${token}`))
    return refusal(403, 'The token is missing or wrong: send the one in the state file as "Authorization: Bearer …".');
  const [target = '/'] = (request.url ?? '/').split('?');
  const found = find(target);
  if (!found) {
    const paths = TREE_COMMANDS.map(commandPath).join(', ');
    return refusal(404, `${target.slice(0, 100)} is not a command. The commands are ${paths}.`);
  }
  const { command, texts } = found;
  if (request.method !== command.method)
    return refusal(405, `${command.name} must be requested with ${command.method}.`, { allow: command.method });
  if (request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0)
    return refusal(413, 'A command has no body.');
  try {
    return { command, args: parseArguments(command, texts) };
  } catch (error) {
    return refusal(400, error instanceof Error ? error.message : String(error));
  }
}

function find(target: string): { command: TreeCommand; texts: readonly string[] } | undefined {
  for (const command of TREE_COMMANDS) {
    const path = commandPath(command);
    if (target === path) return { command, texts: [] };
    if (command.takes && target.startsWith(`${path}/`))
      return { command, texts: target.slice(path.length + 1).split('/') };
  }
  return undefined;
}
