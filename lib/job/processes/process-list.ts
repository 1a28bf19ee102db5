import { randomBytes } from 'node:crypto';
import { UserError } from '../../core/errors';
import { HeartbeatRegistry } from '../../core/heartbeat-registry';
import type { RedisClient } from '../../core/redis';
import { compareText } from '../../support/text';
import type { Auditor } from '../sets/query';
import {
  isProcessorCommand,
  PROCESS_KEYS,
  PROCESSOR_COMMANDS,
  type ProcessInfo,
  type ProcessorCommand,
  readProcessInfo,
} from './process-info';

export * from './process-info';

/** A job processor, by its latest status. */
export interface ListedProcess extends ProcessInfo {
  /** Age of its last heartbeat, ms. Above some 2000 the processor is blocked, disconnected or dead. */
  readonly heartbeatAgeMs: number;
}

/** Lists the job processors of all trees on this Redis, and sends commands to them. Usable from any process. */
export class ProcessList {
  private readonly registry: HeartbeatRegistry;

  /** @param audit the events by which commands are reported. Default: none. */
  constructor(
    redis: RedisClient,
    private readonly audit?: Auditor,
  ) {
    this.registry = new HeartbeatRegistry(redis, PROCESS_KEYS);
  }

  /**
   * While this is called again and again, idle processors report as often as others.
   * @param options.watch false: they do not. Default true.
   * @returns the processors by tree, then by age, the oldest first. @throws when Redis does not answer.
   */
  async list({ watch = true }: { readonly watch?: boolean } = {}): Promise<ListedProcess[]> {
    const found = await this.registry.list(readProcessInfo, watch);
    const listed = found.map(({ info, heartbeatAgeMs }) => ({ ...info, heartbeatAgeMs }));
    return listed.sort((a, b) => compareText(a.tree, b.tree) || a.startedAt - b.startedAt);
  }

  /**
   * Sends a command to one processor, which fetches it at once or within a second: `quiet` (fetch no more jobs), `resume` (fetch
   * jobs again) or `stop` (drain, end, and stay stopped until it is resumed or restarted on its own machine). A command
   * that is not fetched within a minute is void.
   * @returns false when no such processor is listed.
   * @throws UserError for another command; Error when Redis does not answer.
   */
  async send(identity: string, command: ProcessorCommand): Promise<boolean> {
    if (!isProcessorCommand(command)) {
      throw new UserError(`"${command}" is not a command for a job processor; use ${PROCESSOR_COMMANDS.join(', ')}.`);
    }
    const text = `${command} ${randomBytes(6).toString('hex')}`;
    if (!(await this.registry.send(identity, text))) return false;
    this.audit?.events.emit('operator.processor', { command, processor: identity, via: this.audit.via });
    return true;
  }
}

/** @returns host and pid, such as `web-1:4711`. */
export function processName({ host, pid }: Pick<ListedProcess, 'host' | 'pid'>): string {
  return `${host}:${pid}`;
}
