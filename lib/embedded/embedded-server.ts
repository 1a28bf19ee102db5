import type { ServerProcess } from './server-process';

/** A running server, started just now or found. */
export interface RunningServer {
  readonly process: ServerProcess;
  readonly port: number;
  readonly adopted: boolean;
}

/** One kind of server with its data in one folder. */
export interface EmbeddedServer {
  readonly name: 'postgres' | 'redis';
  readonly folder: string;
  /** How it is asked to stop at once, but in order. */
  readonly stopSignal: 'INT' | 'TERM';
  /** An argument of its command line that no other process has. */
  readonly mark: string;
  /** With its password, so it is not for logs. */
  url(port: number): string;
  /** false: a former version started it, and lets in whoever asks. It is not adopted but started anew, with a password. */
  hasPassword(): boolean;
  /** The server that a former run left behind, or undefined. Waits for one that is on its way out. */
  find(): Promise<RunningServer | undefined>;
  /**
   * @param onPid is told the process as soon as there is one.
   * @param port the only one that will do; by default that of the last run if it is free, else any.
   */
  start(onPid: (pid: number) => void, port?: number): Promise<RunningServer>;
}
