import path from 'node:path';
import { environment } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import { SettingsReader } from '../../core/settings-reader';
import { type ControlAddress, NobodyListensError } from './client';
import { lookAt, readState, type TreeState } from './state-file';

export interface TreeFlags {
  readonly state?: string | undefined;
  readonly socket?: string | undefined;
  readonly token?: string | undefined;
  /** `web` or `jobs` if the tree was started with this `--only`. */
  readonly only?: string | undefined;
}

/** The tree that a command addresses, located by flags, settings and its state file. */
export class RunningTree {
  private constructor(
    readonly address: ControlAddress,
    private readonly stateFile: string,
    private readonly state: TreeState | undefined,
  ) {}

  /** @throws UserError, exit code 69, when there is no trace of a tree. */
  static find(flags: TreeFlags): RunningTree {
    const settings = new SettingsReader(environment());
    const half = flags.only === undefined ? '' : `-${flags.only}`;
    const stateFile = path.resolve(flags.state ?? settings.raw('STATE_FILE') ?? `.catamount/state${half}.json`);
    const complete = flags.socket !== undefined && flags.token !== undefined;
    const state = complete ? undefined : readState(stateFile);
    const token = flags.token ?? state?.token;
    if (token === undefined) {
      throw new UserError(
        `No Catamount runs here: there is no state file ${stateFile}. Go to the folder of the tree, or name its file ` +
          'with --state.',
        EXIT.unavailable,
      );
    }
    const standard = settings.raw('CONTROL_SOCKET') ?? `.catamount/control${half}.sock`;
    const socket = path.resolve(flags.socket ?? state?.controlSocket ?? standard);
    return new RunningTree({ socket, token }, stateFile, state);
  }

  get cwd(): string {
    return this.state?.cwd ?? process.cwd();
  }

  /**
   * Turns a failure to reach the tree into a message that says what became of it; other errors are returned as they
   * are.
   */
  explain(error: unknown): unknown {
    const { state, stateFile } = this;
    if (!(error instanceof NobodyListensError) || state?.controlSocket !== this.address.socket) return error;
    const { pid } = state;
    const whose = `No Catamount runs here: the state file ${stateFile} names pid ${pid},`;
    switch (lookAt(pid)) {
      case 'gone':
        return new UserError(`${whose} which has ended.`, EXIT.unavailable);
      case 'another program':
        return new UserError(`${whose} which is another program now.`, EXIT.unavailable);
      case 'alive':
        return new UserError(
          `A Catamount runs here, pid ${pid}, but nothing listens on ${this.address.socket}: was the file removed? ` +
            `Signals still reach it: kill -TERM ${pid} stops it.`,
        );
    }
  }
}
