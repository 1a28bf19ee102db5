import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { ControlServer } from '../../../lib/cluster/control/server';
import { readState, type TreeState, writeState } from '../../../lib/cluster/control/state-file';
import type { Operations, ProcessStacks, Profile, TreeStats, TreeStatus } from '../../../lib/cluster/status';
import { UserError } from '../../../lib/core/errors';
import { Events } from '../../../lib/core/events';
import { Deadline } from '../../../lib/support/deadline';
import {
  processorOf,
  processorStatusOf,
  slotOf,
  statusOf,
  treeStatusOf,
  workerOf,
} from '../../ops/overview/tree-statuses';
import { removeFolder, tempFolder } from '../../support/temp-folder';

export interface RecorderOptions {
  /** Names of operations that are refused; those prefixed with `!` throw, those with `~` never end. */
  readonly failing?: readonly string[];
  /** A folder in which an earlier server left its files. Default: a new folder. */
  readonly cwd?: string;
  readonly socket?: string;
  readonly stateFile?: string;
  /** See ControlOptions. */
  readonly patienceMs?: number;
}

/** A control server in this process, whose operations only record their calls. */
export class Recorder {
  readonly cwd: string;
  readonly socket: string;
  readonly stateFile: string;
  /** The calls of the operations with their arguments, in order, such as `scale 1`. */
  readonly calls: string[] = [];
  /** Messages of warnings and errors. */
  readonly complaints: string[] = [];
  readonly events = new Events();
  readonly operations: Operations;
  readonly server: ControlServer;

  constructor(options: RecorderOptions = {}) {
    this.cwd = options.cwd ?? tempFolder('control');
    this.socket = options.socket ?? path.join(this.cwd, '.catamount/control.sock');
    this.stateFile = options.stateFile ?? path.join(this.cwd, '.catamount/state.json');
    const { patienceMs } = options;
    this.operations = recordedOperations((call) => this.calls.push(call), options.failing);
    this.events.on('process.warning', ({ message }) => this.complaints.push(message));
    this.events.on('process.error', ({ error, during }) => this.complaints.push(`${during}: ${error.message}`));
    this.server = new ControlServer({
      control: { socket: this.socket, stateFile: this.stateFile },
      shutdownTimeoutMs: 5000,
      operations: this.operations,
      events: this.events,
      ...(patienceMs === undefined ? {} : { patienceMs }),
    });
  }

  static async start(options: RecorderOptions = {}): Promise<Recorder> {
    const recorder = new Recorder(options);
    await recorder.server.start();
    return recorder;
  }

  get state(): TreeState {
    const state = readState(this.stateFile);
    if (!state) throw new Error(`there is no ${this.stateFile}`);
    return state;
  }

  /** Leaves what a killed primary leaves: nothing listens, and the state file names a process that has ended. */
  async vanish(): Promise<TreeState> {
    const { pid } = spawnSync(process.execPath, ['-e', '0']);
    const state = { ...this.state, pid };
    await this.stop();
    writeState(this.stateFile, state);
    return state;
  }

  stop(): Promise<void> {
    return this.server.stop(Deadline.after(0));
  }

  /** Stops the server and removes its folder. */
  async cleanup(): Promise<void> {
    await this.stop();
    removeFolder(this.cwd);
  }
}

/** @param called gets each call. @param failing see RecorderOptions. */
export function recordedOperations(called: (call: string) => void, failing: readonly string[] = []): Operations {
  async function record(operation: string, ...argument: (number | string)[]): Promise<void> {
    called([operation, ...argument].join(' '));
    if (failing.includes(operation)) throw new UserError(`${operation} is refused today.`);
    if (failing.includes(`~${operation}`)) await new Promise(() => undefined);
    if (failing.includes(`!${operation}`)) throw new TypeError(`${operation} broke`);
  }
  return {
    stats: () => record('stats').then(sampleStats),
    stacks: () => record('stacks').then(() => SAMPLE_STACKS),
    status: () => record('status').then(samplePicture),
    rollups: async () => [],
    recordEvent: async () => undefined,
    runCommand: (command) => record('order', command),
    profile: (pid, seconds) => record('profile', pid, seconds).then(() => SAMPLE_PROFILE),
    heapSnapshot: (pid) => record('heapSnapshot', pid).then(() => SAMPLE_PROFILE),
    recycle: (slot) => record('recycle', slot),
    phasedRestart: () => record('phasedRestart'),
    restart: () => record('restart'),
    stop: () => record('stop'),
    halt: () => record('halt'),
    scale: (by) => record('scale', by).then(() => sampleStats().workers + by),
    setMaxThreads: (count) => record('setMaxThreads', count).then(() => undefined),
    quietJobs: () => record('quietJobs'),
    resumeJobs: () => record('resumeJobs'),
  };
}

export const SAMPLE_PROFILE: Profile = {
  file: '/app/.catamount/profiles/x.cpuprofile',
  kind: 'cpu',
  process: 'worker 0',
  pid: 4211,
  at: '2026-12-03T09:00:00.000Z',
  automatic: false,
};

const SAMPLE_STACKS: readonly ProcessStacks[] = [
  {
    process: 'worker 0',
    pid: 4211,
    threads: [{ thread: 'main thread', frames: ['at work (/app/routes.ts:3:5)', 'at next (/app/koa.js:9:1)'] }],
    failure: null,
    inFlight: [{ what: 'GET /slow', id: 'r1', ageMs: 4000 }],
  },
  { process: 'worker 1', pid: 4212, threads: [], failure: null, inFlight: [] },
  { process: 'job processor', pid: 4213, threads: [], failure: 'it does not answer', inFlight: [] },
];

function sampleStats(): TreeStats {
  return samplePicture().stats;
}

/** A tree that has been up for 1 h 2 min, with one worker that has crashed once and one that is booting. */
function samplePicture(): TreeStatus {
  const before = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();
  const inFlight = [{ what: 'GET /slow', id: 'r1', ageMs: 120 }];
  const busy = statusOf({ backlog: 7, busyThreads: 2, requestsCount: 1204, inFlight, lagP99Ms: 12.4 });
  const progress = [{ part: 'dispatch', movedMs: 3000, owedMs: 0, cause: 'noAnswer', error: '' }] as const;
  const inPerform = [{ what: 'WelcomeEmailJob on mailer', id: 'j1', ageMs: 40 }];
  const ofJobs = processorStatusOf({ inFlight: inPerform, progress, lagP99Ms: 12.4 });
  const lastTermination = {
    reason: 'crash',
    code: 1,
    signal: null,
    message: 'TypeError: 한국어 \u001b[2J is not a function',
    heartbeatAgeMs: null,
  } as const;
  return treeStatusOf({
    at: before(0),
    workers: [
      workerOf(0, {
        pid: 4211,
        phase: 3,
        lastStatus: busy,
        lastCheckin: before(1),
        restarts: { crash: 1, phase: 3 },
      }),
      workerOf(1, { pid: 4212, phase: 2, booted: false, state: 'booting', lastStatus: {}, pssMb: null }),
    ],
    jobs: processorOf({ pid: 4213, restarts: 2, lastStatus: ofJobs, lastCheckin: before(1) }),
    slots: [slotOf(0, { lastTermination: { ...lastTermination, at: before(60), activity: null } }), slotOf(1)],
    rates: { requestsPerS: 12.4, shed: 3, serverErrors: 4, slowestMs: 900 },
    events: [
      {
        at: before(60),
        name: 'worker.exited',
        about: { slot: 0, pid: 4200, code: null, signal: 'SIGKILL', expected: false },
      },
    ],
    stats: {
      startedAt: before(3723),
      phase: 3,
      bootedWorkers: 1,
      oldWorkers: 1,
      versions: { catamount: '0.1.0', node: process.versions.node },
      pid: process.pid,
      lastPhase: { phase: 3, completed: false, reason: 'worker 0 did not boot: broken' },
    },
  });
}
