/**
 * The types of the public API, for an app's own signatures. `index.ts` exports them; this file has no code, so that no
 * process loads it.
 */

export type { Knex } from 'knex';
export type { Channel, JsonMessage } from './broadcast/broadcast';
export type {
  Config,
  EncryptionKey,
  HeapCaps,
  JobsConfig,
  ListenAddress,
  ListenOptions,
  Locale,
  MailConfig,
  MailDelivery,
  MailProvider,
  OpsConfig,
  QueueSetting,
  SignUpsConfig,
  SocketPath,
  TcpAddress,
  TrustedProxies,
  WebConfig,
} from './core/config-types';
export type { DiagnosticMessage, DiagnosticMessages } from './core/diagnostics';
export type { Attributes, ExecutionContext, JsonValue } from './core/execution-context';
export type {
  AboutExit,
  AboutWorker,
  ListeningEvent,
  PhaseCompletedEvent,
  ProcessorExitedEvent,
  StoppedEvent,
  StoppingEvent,
  WorkerExitedEvent,
  WorkerForkedEvent,
  WorkerReadyEvent,
} from './core/hook-events';
export type { Translate } from './core/i18n';
export type { ImportFile } from './core/load-classes';
export type { ListedQueue, Queues } from './job/admin/queues';
export type { CronListing } from './job/cron/cron-table';
export type { RunTimeCronOptions } from './job/cron/run-time-cron';
export type { BatchOptions, BatchRef, BatchState, BatchStatus } from './job/definition/batch';
export type { NoResult } from './job/definition/errors';
export type {
  AcceptedJob,
  Args,
  ArgumentsOf,
  BulkOptions,
  CancelAllOptions,
  CancelCounts,
  CancelledJob,
  CancelOptions,
  CancelOutcome,
  CarriedContext,
  CronOptions,
  DebounceOptions,
  DuplicateJob,
  EnqueuedJob,
  EnqueueRequest,
  JobArgument,
  JobArguments,
  JobClass,
  JobContext,
  JobHandle,
  JobOptions,
  KeepOptions,
  LimitOptions,
  Performable,
  PreparedJob,
  RateOptions,
  ResultOf,
  ResultOptions,
  RunAt,
  SerializableTypes,
  Taken,
  ThreadOptions,
  ThrottledJob,
  ThrottleOptions,
  UniqueClaim,
  UniqueOptions,
} from './job/definition/job-class';
export type {
  ErrorClass,
  ErrorHandler,
  ErrorMatcher,
  ErrorMatchers,
  ErrorOf,
  RetryDecision,
  RetryOnOptions,
  RetryOptions,
} from './job/definition/retry-policy';
export type {
  ArgumentSerializer,
  EnqueueMiddleware,
  ErrorReport,
  JobRun,
  JobSetup,
  PerformMiddleware,
} from './job/definition/setup';
export type { AbstractJobClass, ConfiguredJob } from './job/job';
export type { Cursor } from './job/perform/checkpoint';
export type { EachOptions, EachSource } from './job/perform/each';
export type { StepOptions, TransactionWork } from './job/perform/steps';
export type { ListedProcess } from './job/processes/process-list';
export type { RunningJob } from './job/processes/running-jobs';
export type { Ending, LogLine, StoredResult } from './job/record/ending';
export type { FailedRun } from './job/record/history';
export type { Pause } from './job/row/pauses';
export type { QueueStatus } from './job/row/queue-status';
export type { JobEntry, JobError, SetName } from './job/sets/entry';
export type { DoneStep, FoundPlace, HeldBy } from './job/sets/find-job';
export type {
  BulkOptions as MoveOptions,
  BulkResult as MoveResult,
  JobAction,
  JobFilter,
  JobPage,
  JobRef,
  PageRequest,
} from './job/sets/query';
export type { ClassSummary, DurationSummary, HistorySum } from './job/stats/history';
export type { ActionResult, Mail } from './mailer/compose/mail';
export type { CallbackOptions, MailerCallbacks } from './mailer/definition/callbacks';
export type { DeliveryMethod } from './mailer/definition/delivery-method';
export type {
  Address,
  Addresses,
  AttachmentContent,
  AttachmentOptions,
  DeliveryOptions,
  InterceptedMessage,
  Layout,
  MailAtHand,
  MailAttachment,
  Mailbox,
  MailDefault,
  MailDefaults,
  MailHeaders,
  MailOptions,
  OutgoingMessage,
  Parts,
  QueryValue,
  Receipt,
  Refusal,
  Render,
  RenderedParts,
  RenderRequest,
  UrlQuery,
} from './mailer/definition/mail-types';
export type { AnyMailer, MailerClass } from './mailer/definition/mailer-class';
export type { MailInterceptor, MailObserver, MailOrigin, MailSetup } from './mailer/definition/setup';
export type { SerializedMessage } from './mailer/deliver-mail-job';
export type {
  AbstractMailerClass,
  Action,
  ActionArguments,
  ActionName,
  GivenParams,
  MailAction,
  MessageOf,
  NoParams,
  ParamsOf,
  WithParams,
} from './mailer/mailer';
export type {
  DeliveryResult,
  EnqueueableMessage,
  MailMessage,
  SentMail,
  SkippedMail,
  TravellingParams,
} from './mailer/message';
export type { Operator, OpsAdditions, OpsTab } from './ops/ui/additions';
export type {
  AppDefinition,
  AppOptions,
  BodyParser,
  Connection,
  Hooks,
  ModuleOf,
  OwnPart,
  Probes,
  RouteEnvironment,
  Routes,
  SecurityHeaders,
  WorkerEnvironment,
} from './role/app/app-options';
export type { Duration, DurationUnit, Rate } from './support/duration';
export type { ProblemOptions, ProblemPart } from './web/context';
export type { RateLimit } from './web/rate-limit';
export type { EmailAddress } from './web/sign-up';
