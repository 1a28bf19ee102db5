import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { awaitStopping } from '../../cluster/control/predecessor';
import { ControlServer } from '../../cluster/control/server';
import { onOperatorSignals } from '../../cluster/control/signals';
import { COMMAND_SIGNALS, STOP_SIGNALS } from '../../cluster/operator-signals';
import { relayBroadcasts } from '../../cluster/primary/broadcast-relay';
import { type StopOutcome, sumOutcomes } from '../../cluster/primary/child-handle';
import { FirstPrimary, HotRestart, type Inheritance, takeInherited } from '../../cluster/primary/hot-restart';
import { IdleWatch } from '../../cluster/primary/idle-watch';
import { JobsWatch } from '../../cluster/primary/jobs-watch';
import { collectAtRest, MemoryWatch } from '../../cluster/primary/memory-watch';
import { PhasedRestart } from '../../cluster/primary/phased-restart';
import type { ProbeServer } from '../../cluster/primary/probe-server';
import { ProcessorSupervisor } from '../../cluster/primary/processor';
import { ReporterElection } from '../../cluster/primary/reporter-election';
import type { SdNotify } from '../../cluster/primary/sd-notify';
import { TreeMonitor } from '../../cluster/primary/tree-monitor';
import { TreeOperations } from '../../cluster/primary/tree-operations';
import { WorkerPool } from '../../cluster/primary/worker-pool';
import type { JobsHealth } from '../../cluster/status';
import {
  type Config,
  connectionsOfTree,
  environment,
  inlineParts,
  passConfigToChildren,
  sumOverDeploy,
} from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import { asSentence } from '../../core/finding';
import { appUrlAt, ensureFree } from '../../core/listen-address';
import { onUncaught, openLog } from '../../core/logging';
import { withRedisPrefix } from '../../core/redis-settings';
import { STOP_PHASES } from '../../core/shutdown';
import type { Credentials } from '../../core/tls';
import type { EmbeddedServers } from '../../embedded/embedded-servers';
import { collectGarbage } from '../../internals/gc';
import type { Connection } from '../../internals/socket-handoff';
import { pluralize } from '../../support/counted';
import { Deadline } from '../../support/deadline';
import type { PeriodicTask } from '../../support/periodic-task';
import { toError } from '../../support/to-error';
import { type AppDefinition, callHooks } from '../app/app-definition';
import { findings } from '../checks/all-checks';
import { StartCheck } from './app-check';
import { banner, pagesAt } from './banner';
import { InProcess } from './in-process';

/** A new primary that takes over has this many times WORKER_BOOT_TIMEOUT: its workers boot, and its job processor after them. */
const GENERATIONS_TO_BOOT = 3;

/** The deadline of a stop after an error that nothing caught, in a process that runs the web or jobs itself, ms. */
const UNSURE_STOP_MS = 5000;

/** The root of the tree: starts servers, workers and the job processor, and stops them all. */
export class Primary {
  private readonly startedAt = performance.now();
  private readonly events: Events;
  private embedded: EmbeddedServers | undefined;
  private readonly workers: WorkerPool;
  private readonly memory: MemoryWatch;
  private readonly garbage: PeriodicTask;
  private readonly phased: PhasedRestart;
  private readonly processor: ProcessorSupervisor | undefined;
  private readonly monitor: TreeMonitor;
  private readonly operations: TreeOperations;
  private readonly reporterElection: ReporterElection;
  private readonly control: ControlServer;
  private web: WorkerPool | undefined;
  private jobsWatch: JobsWatch | undefined;
  private idleWatch: IdleWatch | undefined;
  private probes: ProbeServer | undefined;
  /** Sentences about stalled jobs; null: none are. */
  private stalledJobs: string | null = null;
  private childConfig: Config | undefined;
  /** Periodic tasks, which a stop ends first. */
  private readonly tasks: readonly PeriodicTask[];
  private stopped: Promise<never> | undefined;
  private readonly config: Config;
  private readonly inherited = takeInherited();
  private readonly hotRestart: HotRestart;
  /** The primary whose child this one is; undefined: this is the first. */
  private readonly first: FirstPrimary | undefined;
  /** Resolves when this primary, whose place another has taken, has finished what it had. */
  private retired: Promise<number> | undefined;
  private readonly processorReady: Promise<unknown>;
  private readonly inline: ReturnType<typeof inlineParts>;
  /** The parts that run in this process; undefined: all are forked. */
  private readonly inProcess: InProcess | undefined;
  private stopRelaying: () => void = () => undefined;
  private sdNotify: SdNotify | undefined;
  /** The exit code of a stop whose cause is a failure, or a halt. */
  private failure: number = EXIT.ok;

  constructor(
    private readonly app: AppDefinition,
    settings: Config,
  ) {
    const id = randomBytes(6).toString('hex');
    const { predecessor } = this.inherited;
    const { databaseUrl = null, redisUrl = null } = predecessor ?? {};
    const servers = { databaseUrl: settings.databaseUrl ?? databaseUrl, redisUrl: settings.redisUrl ?? redisUrl };
    const config = { ...settings, ...servers, treeId: id };
    this.config = config;
    const events = openLog(config, 'primary');
    const { web, jobs, memoryLimitMb: limitMb, shutdownTimeoutMs: drainTimeoutMs } = config;
    this.events = events;
    this.inline = inlineParts(config);
    if (this.inline.web || this.inline.jobs) {
      this.inProcess = new InProcess(this.app, (code) => {
        if (!this.stopped) void this.stop('a part of this process has ended', code || EXIT.failed);
      });
    }
    const { sockets } = this.inherited;
    const [count, worker] = [web.enabled ? web.concurrency : 0, this.inline.web ? this.inProcess?.worker : undefined];
    this.workers = new WorkerPool(count, config, events, {}, sockets, worker);
    const limits = { bootMs: GENERATIONS_TO_BOOT * web.bootTimeoutMs, stopMs: drainTimeoutMs };
    this.hotRestart = new HotRestart(limits, events, (code) => void this.stop('the primary has ended', code));
    if (predecessor) {
      this.first = new FirstPrimary(
        (connection) => this.workers.redispatch(connection),
        () => void this.stop('the process that started it is gone'),
      );
    }
    this.memory = new MemoryWatch(this.workers, events, {
      limitMb,
      otherPids: () => [process.pid, this.first ? process.ppid : [], this.processor?.pids ?? []].flat(),
      processor: () => (web.enabled && !this.inline.web ? undefined : this.processor),
    });
    this.garbage = collectAtRest(this.workers, events);
    this.phased = new PhasedRestart(this.workers, events, (slot) => this.memory.orderFor(slot));
    if (jobs.enabled) {
      const onRunning = (running: boolean) => this.setJobsHealth({ running });
      const heapMb = config.heapCaps?.jobsMb ?? null;
      const { workerTimeoutMs: timeoutMs, bootTimeoutMs } = web;
      const times = { timeoutMs, bootTimeoutMs, drainTimeoutMs };
      this.processor = new ProcessorSupervisor(events, {
        ...times,
        lineage: id,
        heapMb,
        inProcess: this.inline.jobs ? this.inProcess?.processor : undefined,
        onRunning,
        onRefused: (error) => void this.stop('it cannot start', this.reportFailure(error)),
      });
    }
    this.processorReady = this.processor
      ? new Promise((resolve) => events.on('processor.ready', resolve))
      : Promise.resolve();
    if (this.processor && config.environment === 'production') this.holdUntilJobsBoot();
    const { workers, processor, memory, phased } = this;
    if (processor) {
      this.jobsWatch = new JobsWatch({
        processor: () => processor.stats(() => null),
        silentMs: () => processor.heartbeatAgeMs,
        bootTimeoutMs: web.bootTimeoutMs,
        events,
        onChange: (change) => this.setJobsHealth(change),
      });
    }
    const isStopping = () => (this.stopped ?? this.retired) !== undefined;
    this.monitor = new TreeMonitor({
      id,
      app: app.name,
      config,
      events,
      workers,
      processor,
      memory,
      phased,
      isStopping,
    });
    this.operations = this.buildOperations();
    this.workers.allow(this.operations);
    processor?.allow(this.operations);
    relayBroadcasts(workers, processor);
    const candidates = () => [...workers.handles, ...(processor?.handles ?? [])];
    this.reporterElection = new ReporterElection(candidates, events);
    if (config.idleTimeoutMs) {
      const stop = (reason: string) => void this.stop(reason);
      this.idleWatch = new IdleWatch({ timeoutMs: config.idleTimeoutMs, workers, processor, events, stop });
    }
    const { garbage, monitor, reporterElection, jobsWatch, idleWatch, operations } = this;
    this.tasks = [
      reporterElection.task,
      memory.task,
      garbage,
      ...monitor.tasks,
      jobsWatch?.task ?? [],
      idleWatch?.task ?? [],
      operations.profiler.task,
    ].flat();
    const { control, shutdownTimeoutMs, redisOff } = config;
    this.control = new ControlServer({ control, shutdownTimeoutMs, redisOff, operations: this.operations, events });
  }

  private setJobsHealth(change: Partial<JobsHealth>): void {
    if (change.stalled !== undefined) this.stalledJobs = change.stalled;
    this.workers.setJobsHealth(change);
  }

  /** Tells the platform of a tree without a web whether it lives and runs jobs, if PROBE_PORT is set. */
  private async answerProbes(): Promise<void> {
    const { probes } = this.config;
    if (!probes || this.config.web.enabled) return;
    const { answerProbes } = await import('../../cluster/primary/probe-server');
    this.probes = await answerProbes(this.inherited.sockets[0] ?? probes, () => {
      if (this.stopped) return 'the tree is stopping';
      // A connection that came before the next primary served is answered here.
      if (this.retired) return undefined;
      const state = this.processor?.stats(() => null).state;
      if (state === 'ready' || state === 'quiet') return this.stalledJobs ?? undefined;
      return `there is no job processor that is ready: ${state === 'disabled' ? 'the tree starts' : state}`;
    });
    this.events.emit('primary.probes', { address: this.probes.name });
  }

  /** The web is not ready until a processor has booted; workers that are forked later do not wait for that again. */
  private holdUntilJobsBoot(): void {
    this.workers.setJobsHealth({ running: false });
    this.events.on('processor.ready', () => {
      if (this.childConfig) this.passConfig({ ...this.childConfig, jobsBooted: true });
    });
  }

  private passConfig(config: Config): void {
    this.childConfig = { jobsBooted: this.childConfig?.jobsBooted ?? false, ...config };
    passConfigToChildren(this.childConfig);
  }

  private buildOperations(): TreeOperations {
    const { config, events, workers, processor, memory, phased, monitor } = this;
    const stop = (reason: string, exitCode?: number) => this.stop(reason, exitCode);
    const restart = () => this.restart();
    const beforePhased = () => this.beforeRestart('phased-restart');
    const parts = { config, events, workers, processor, memory, phased, monitor, stop, restart, beforePhased };
    return new TreeOperations(parts);
  }

  /** Resolves when the tree serves. From then on it ends only through `stop`. */
  async start(): Promise<void> {
    const { app, config, events } = this;
    process.title = 'catamount: primary';
    onStopSignals((reason) => void this.stop(reason));
    onNpmGone(!this.first && environment().npm_lifecycle_event !== undefined, (reason) => void this.stop(reason));
    this.stopRelaying = onOperatorSignals(this.operations, events);
    const contain = (error: Error) => this.inProcess?.contain(error) ?? false;
    const limitMs = this.inProcess && UNSURE_STOP_MS;
    onUncaught(events, () => this.stop('an error was not caught', EXIT.failed, limitMs), { contain });
    callHooks(app.hooks, events);
    this.printBanner();
    await this.tellSystemd();
    await this.warn();
    this.reportMemoryPlan();
    try {
      if (!this.first) await awaitStopping(config.control.stateFile, events);
      if (this.stopped) return;
      if (config.web.enabled && this.inherited.sockets.length === 0)
        for (const address of config.listen) await ensureFree(address);
      if (config.web.enabled && config.tls) await this.secureWeb(config.tls);
      if (!this.first) await this.answerProbes();
      if (!this.first) await this.control.start();
      if (!this.first) notePid(config.control.pidFile);
      const check = this.checkApp();
      const permission = check.passed;
      const settled = await this.settleServers();
      if (this.stopped) return;
      this.passConfig(settled);
      if (config.environment !== 'production')
        await permission.then(() => (this.stopped ? undefined : check.migrate(settled.databaseUrl)));
      if (this.stopped) return;
      await this.beforeFork(settled);
      if (this.stopped) return;
      for (const task of this.monitor.tasks) task.start();
      this.reporterElection.task.start();
      this.operations.profiler.task.start();
      // Processes that build links are forked after this.
      const onListening = (address: string) =>
        this.passConfig({ ...settled, appUrl: appUrlAt(settled.appUrl, address) });
      const web = config.web.enabled ? this.startWeb(onListening, permission) : undefined;
      // A processor in this process shares the web's connections.
      await (this.inline.all ? web : Promise.race([web, web && this.workers.firstLoaded.promise]));
      await permission;
      if (this.stopped) return;
      collectGarbage();
      // Beside a primary that serves it fetches nothing yet.
      if (this.first) this.processor?.quiet();
      this.processor?.start();
      this.jobsWatch?.task.start();
      // There are none if nothing is forked that could be replaced.
      if (config.heapCaps) this.memory.start();
      const address = await web;
      if (this.first) await this.takeOver(this.first);
      if (address === undefined) void this.processorReady.then(() => this.sdNotify?.ready());
      else this.announce(address);
      this.idleWatch?.task.start();
      // A part of this process collects its garbage.
      if (!this.inProcess) this.garbage.start();
    } catch (error) {
      if (!this.stopped) await this.stop('it cannot start', this.reportFailure(error));
    }
  }

  /**
   * Stops the tree within one deadline, then exits. Web and jobs stop side by side, then the embedded servers, which get their
   * minimum even after the deadline, then the control socket. Of later calls only the exit code has an effect.
   */
  stop(reason: string, exitCode: number = EXIT.ok, limitMs = this.config.shutdownTimeoutMs): Promise<never> {
    this.failure ||= exitCode;
    this.stopped ??= this.stopAll(reason, limitMs);
    return this.stopped;
  }

  private async stopAll(reason: string, limitMs: number): Promise<never> {
    // In a tree with forked workers throng force-exits after FORCED_EXIT_MS, without a code: this one is used then.
    process.exitCode = EXIT.failed;
    this.sdNotify?.stop();
    this.hotRestart.cancel();
    const code = this.retired
      ? await this.stopServing()
      : await this.windUp(reason, (deadline) => this.web?.stop(deadline), limitMs);
    process.exit(this.failure || code);
  }

  /** Ends the tree, but not this process. @param stopWeb ends the workers. @returns the exit code. */
  private async windUp(
    reason: string,
    stopWeb: (deadline: Deadline) => Promise<StopOutcome> | undefined,
    timeoutMs = this.config.shutdownTimeoutMs,
  ): Promise<number> {
    const since = performance.now();
    const deadline = Deadline.after(timeoutMs);
    this.events.emit('primary.stopping', { reason, timeoutMs });
    for (const task of this.tasks) void task.stop();
    const nothing: StopOutcome = { killed: 0, failed: 0 };
    const { killed, failed } = sumOutcomes(
      await Promise.all([stopWeb(deadline) ?? nothing, this.processor?.stop(deadline) ?? nothing]),
    );
    if (!this.hotRestart.serving) await this.embedded?.stop(deadline.part(STOP_PHASES.embeddedServers));
    // The last thing: until then the next start of this folder learns from it that this tree is stopping.
    await this.control.stop(deadline);
    this.events.emit('primary.stopped', { durationMs: Math.round(performance.now() - since), killed });
    return killed + failed > 0 ? EXIT.failed : EXIT.ok;
  }

  /** In the first primary, whose place another has taken: ends that one. @returns its exit code. */
  private async stopServing(): Promise<number> {
    const deadline = Deadline.after(this.config.shutdownTimeoutMs);
    const code = await this.hotRestart.stop(deadline);
    await this.retired;
    await this.embedded?.stop(deadline.part(STOP_PHASES.embeddedServers));
    return code;
  }

  /** Serves in place of the primary before this one, once everything here could. */
  private async takeOver(first: FirstPrimary): Promise<void> {
    const { predecessor } = this.inherited;
    await this.processorReady;
    if (this.stopped) return;
    await first.ready();
    if (predecessor?.served) this.workers.treeServed();
    if (this.config.web.enabled) await this.workers.listen();
    else await this.answerProbes();
    this.processor?.resume();
    await this.control.start(true);
    await first.serves();
  }

  /**
   * Has a new primary started, by the same command line, on the same sockets. When it serves, this one finishes what it has: it
   * passes its idle connections on. The first primary then remains, since whoever started it waits for its end.
   * @throws UserError when the new one does not come up, or memory does not suffice for two trees.
   */
  private async restart(): Promise<void> {
    const { config, workers, monitor, first, hotRestart } = this;
    const limitMb = config.memoryLimitMb;
    const totalMb = Math.round(this.memory.measure().totalMb ?? 0);
    if (limitMb !== null && 2 * totalMb > limitMb) {
      throw new UserError(
        `a restart starts a second tree beside this one, and 2 × ${totalMb} MB exceed MEMORY_LIMIT_MB (${limitMb}). ` +
          'Use phased-restart for new code of the app, or stop and start.',
      );
    }
    await this.beforeRestart('restart');
    if (this.stopped || this.retired) throw new UserError('the tree is stopping');
    const { databaseUrl, redisUrl } = this.childConfig ?? config;
    const embedded = this.embedded !== undefined || this.inherited.predecessor !== undefined;
    const sockets = this.probes ? [this.probes] : workers.sockets;
    const inheritance: Inheritance = {
      sockets: sockets.map(({ handle: _, ...socket }) => socket),
      address: monitor.address,
      databaseUrl: embedded ? databaseUrl : null,
      redisUrl: embedded ? redisUrl : null,
      served: workers.served,
    };
    if (first) await first.restart(sockets, inheritance);
    else {
      const handles = sockets.map(({ handle }) => handle);
      await hotRestart.run(handles, inheritance);
    }
    // A stop that has begun meanwhile ends the new one, too.
    if (this.stopped) return;
    this.retired = this.retire(first?.forward ?? hotRestart.forward);
    // A later primary ends; the first one stays for its exit code and for signals.
    if (first) void this.retired.then(async (code) => first.flushed.then(() => process.exit(code)));
  }

  /** Finishes what this primary has, while another serves. @returns the exit code. */
  private async retire(forward: (connection: Connection) => void): Promise<number> {
    this.stopRelaying();
    this.probes?.close();
    this.sdNotify?.retire();
    if (!this.first) process.title = 'catamount: parent';
    for (const signal of COMMAND_SIGNALS) process.on(signal, () => this.hotRestart.signal(signal));
    const outcome = await this.windUp('another primary has taken over', (deadline) =>
      this.web?.handOver(forward, deadline),
    );
    collectGarbage();
    return outcome;
  }

  /** Starts embedded servers for the URLs that are not set. @returns the config with their URLs. */
  private async settleServers(): Promise<Config> {
    const { config, events } = this;
    const [needPostgres, needRedis] = [config.databaseUrl === null, config.redisUrl === null && !config.redisOff];
    if (!needPostgres && !needRedis) return config;
    // Never loaded in production, where readSettings requires both URLs, or one and REDIS=off.
    const { EmbeddedServers } = await import('../../embedded/embedded-servers');
    // A phased restart runs old and new processes side by side, as a deploy does.
    const connections = sumOverDeploy([connectionsOfTree(config)]);
    this.embedded = new EmbeddedServers({ stateDir: config.stateDir, needPostgres, needRedis, events, connections });
    const { databaseUrl, redisUrl } = await this.embedded.start();
    this.monitor.embedded = [needPostgres ? ('postgres' as const) : [], needRedis ? ('redis' as const) : []].flat();
    return {
      ...config,
      databaseUrl: config.databaseUrl ?? databaseUrl ?? null,
      redisUrl: config.redisUrl ?? (redisUrl ? withRedisPrefix(redisUrl, config.redisPrefix) : null),
    };
  }

  /** Checks the app in a process of its own, while the start waits for everything else. */
  private checkApp(): StartCheck {
    this.passConfig(this.config);
    const check = new StartCheck(this.config.web.bootTimeoutMs, this.events, () => this.stopped !== undefined);
    // `passed` is awaited later. A rejection before that is not an unhandled one.
    check.passed.catch(() => undefined);
    return check;
  }

  private beforeFork(config: Config): Promise<void> {
    return this.awaitApp('beforeFork', 'Catamount cannot start', () => this.app.beforeFork?.({ config }));
  }

  private beforeRestart(command: 'phased-restart' | 'restart'): Promise<void> {
    const { config } = this;
    return this.awaitApp('beforeRestart', 'nothing is replaced', () => this.app.beforeRestart?.({ command, config }));
  }

  /** Awaits an option of the app. @throws UserError when it fails. */
  private async awaitApp(option: string, outcome: string, call: () => unknown): Promise<void> {
    try {
      await call();
    } catch (thrown) {
      const error = toError(thrown);
      this.events.emit('process.error', { error, during: `the app's ${option}` });
      throw new UserError(`${outcome}: ${option} of defineApp failed: ${error.message}`);
    }
  }

  private async startWeb(onListening: (address: string) => void, permission: Promise<void>): Promise<string> {
    this.web = this.workers;
    const address = await this.workers.start(onListening, permission, this.inherited.predecessor?.address ?? undefined);
    this.monitor.address = address;
    return address;
  }

  /** @throws UserError when the files of the certificate cannot be used. */
  private async secureWeb(files: NonNullable<Config['tls']>): Promise<void> {
    const { TlsFiles } = await import('../../cluster/primary/tls-files');
    const secure = (credentials: Credentials) => this.workers.secure(credentials);
    const { credentials, task } = new TlsFiles(files, this.events, secure);
    secure(credentials);
    task.start();
  }

  private announce(address: string): void {
    const { config } = this;
    const durationMs = Math.round(performance.now() - this.startedAt);
    const [, ...also] = this.workers.sockets.map(({ name }) => name);
    const pages = pagesAt(address, this.config);
    this.events.emit('primary.listening', { address, durationMs, pages, ...(also.length > 0 && { also }) });
    if (config.log.format === 'pretty') process.stdout.write('Ctrl-C stops it\n');
    this.sdNotify?.ready();
  }

  private async tellSystemd(): Promise<void> {
    if (environment().NOTIFY_SOCKET === undefined) return;
    const { SdNotify } = await import('../../cluster/primary/sd-notify');
    const { workers, processor, events, first } = this;
    const status = () => {
      const { slots, phase } = workers;
      const ready = slots.filter(({ handle }) => handle?.state === 'ready').length;
      const web = slots.length > 0 ? [`${ready} of ${pluralize(slots.length, 'worker')} ready, phase ${phase}`] : [];
      return [...web, ...(processor ? [`job processor ${processor.stats(() => null).state}`] : [])].join('; ');
    };
    this.sdNotify = new SdNotify(status, events, first !== undefined);
  }

  private reportMemoryPlan(): void {
    const { memoryLimitMb: limitMb, heapCaps, web, jobs } = this.config;
    if (web.enabled && web.sizing !== null) this.events.emit('workers.auto-sized', { calculation: web.sizing });
    if (limitMb === null || heapCaps === null) return;
    const workers = web.enabled ? web.concurrency : 0;
    const jobsMb = jobs.enabled ? heapCaps.jobsMb : null;
    this.events.emit('memory.planned', { limitMb, workers, workerMb: heapCaps.workerMb, jobsMb });
  }

  private async warn(): Promise<void> {
    const { app, config, events } = this;
    const found = [await findings('machine', 'start', app), await findings('settings', 'start', { config })];
    for (const each of found.flat()) events.emit('process.warning', { message: asSentence(each) });
  }

  private printBanner(): void {
    const lines = banner(this.app.name, this.config);
    if (this.config.log.format === 'pretty') process.stdout.write(`${lines.join('\n')}\n`);
    else this.events.emit('primary.starting', { banner: lines });
  }

  /** Prints the message of a UserError; any other error is rethrown. @returns the exit code. */
  private reportFailure(error: unknown): number {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return error.exitCode;
  }
}

/**
 * Calls `stop` on every SIGTERM, SIGINT and SIGHUP (the terminal was closed): platforms, npm and terminals repeat them, and
 * without a handler the second would kill the process.
 */
export function onStopSignals(stop: (reason: string) => void): void {
  for (const signal of STOP_SIGNALS) process.on(signal, () => stop(`got ${signal}`));
}

/** @throws UserError when it cannot be written. */
function notePid(file: string | null): void {
  if (file === null) return;
  try {
    fs.writeFileSync(file, `${process.pid}\n`);
  } catch (error) {
    throw new UserError(`PID_FILE cannot be written: ${toError(error).message}`, EXIT.config);
  }
  process.once('exit', () => fs.rmSync(file, { force: true }));
}

/** Interval at which a tree started by npm checks that npm still runs, ms. */
const PARENT_CHECK_MS = 1000;

/**
 * Stops the tree when npm is gone. npm relays signals, but not when it is killed itself, and the tree would run on unnoticed.
 * This is only for a tree that npm started: under a shell or an init a new parent means nothing.
 */
export function onNpmGone(startedByNpm: boolean, stop: (reason: string) => void): void {
  if (!startedByNpm) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    stop('npm, which started it, is gone');
  }, PARENT_CHECK_MS);
  timer.unref();
}
