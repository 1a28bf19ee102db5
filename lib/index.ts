import type * as model from './model/model';

/**
 * The public API: everything an app needs, and all that our sample app imports. `Model` is loaded on first access, so
 * that the primary, which imports the app's manifest through this module, never loads the ORM.
 */

export { boot } from './boot';
export type { Config } from './core/config';
export { MissingValueError, UserError } from './core/errors';
export { type Attributes, currentContext, withAttributes } from './core/execution-context';
export { DiscardJob, EnqueueError, JobTimeoutError, KillJob, RecordGoneError } from './job/definition/errors';
export type {
  CronOptions,
  EnqueuedJob,
  EnqueueRequest,
  JobArgument,
  JobArguments,
  JobContext,
  JobOptions,
  PreparedJob,
  SerializableTypes,
  UniqueOptions,
} from './job/definition/job-class';
export type { RetryOnOptions } from './job/definition/retry-policy';
export type {
  ArgumentSerializer,
  EnqueueMiddleware,
  ErrorReport,
  JobRun,
  JobSetup,
  PerformMiddleware,
} from './job/definition/setup';
export { CancelEnqueue } from './job/enqueue/enqueue';
export { type ConfiguredJob, Job, performAllLater } from './job/job';
export type { Cursor } from './job/perform/checkpoint';
export type { DeliveryMethod, Mail } from './mailer/compose/mail';
export {
  AttachmentError,
  InvalidMailError,
  MissingTemplateError,
  MissingTextError,
  PartialDeliveryError,
  PermanentDeliveryError,
  TemplateError,
} from './mailer/definition/errors';
export type {
  Address,
  Addresses,
  AttachmentContent,
  AttachmentOption,
  AttachmentOptions,
  Layout,
  MailAtHand,
  MailAttachment,
  Mailbox,
  MailDefaults,
  MailOptions,
  OutgoingMessage,
  Parts,
  Receipt,
  Refusal,
  Render,
  RenderedParts,
  RenderRequest,
  UrlQuery,
} from './mailer/definition/mail-types';
export type {
  InterceptedMessage,
  MailInterceptor,
  MailObserver,
  MailOrigin,
  MailSetup,
} from './mailer/definition/setup';
export { Mailer, MailerPreview, type NoParams } from './mailer/mailer';
export type { DeliveryResult, MailMessage } from './mailer/message';
export { currentTransaction, transaction } from './model/transaction';
export type { Hooks } from './role/app-definition';
export {
  type AppDefinition,
  type AppOptions,
  defineApp,
  type RouteEnvironment,
  type Routes,
} from './role/app-definition';
export type { Duration, Rate } from './support/duration';
export { clientNetwork } from './support/text';
export { ProblemError } from './web/problem';
export type { RateLimit } from './web/rate-limit';

export declare const Model: typeof model.Model;
export type Model = model.Model;

Object.defineProperty(module.exports, 'Model', {
  enumerable: true,
  get: () => (require('./model/model') as typeof model).Model,
});
