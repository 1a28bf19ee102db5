import { isObject } from '../support/type-guards';
import { ProblemError } from './context';

/** zlib's codes for bytes that are not what the Content-Encoding says. */
const NOT_COMPRESSED = /^(Z_DATA_ERROR|Z_BUF_ERROR|ERR_+ERROR_FORMAT_\w+)$/;
/** All errors of busboy, on which multer is built: they have neither a code nor a status. */
const BUSBOY_MESSAGE =
  /^(Unexpected end of (form|file|multipart data)|Part terminated early due to unexpected end of multipart data|Malformed (part header|urlencoded form|content type)|Multipart: Boundary not found|Missing Content-Type|Unsupported content type: .*)$/;

interface Foreign {
  readonly code?: unknown;
  readonly status?: unknown;
  readonly httpCode?: unknown;
}

/**
 * Recognizes the errors by which body parsers reject what a client has sent, and which lack the `expose` of Koa's own:
 * those of multer (a name and a code), formidable (`httpCode`), co-body and inflation (`status`), zlib (a code) and
 * busboy (its message only). @param encoding the request's Content-Encoding, or ''. @returns undefined for any other.
 */
export function bodyProblem(thrown: unknown, encoding: string): ProblemError | undefined {
  if (!isObject(thrown) || !(thrown instanceof Error)) return undefined;
  const status = readStatus(thrown, encoding);
  return status === undefined ? undefined : new ProblemError(status, { detail: thrown.message });
}

function readStatus(thrown: Error & Foreign, encoding: string): number | undefined {
  const { name, code, status, httpCode, message } = thrown;
  if (name === 'MulterError') return /^LIMIT_(?!UNEXPECTED)/.test(String(code)) ? 413 : 400;
  // formidable's 501 is for an unknown transfer encoding of a part. A client should not be able to cause a server error.
  if (typeof httpCode === 'number' && httpCode >= 400 && httpCode !== 500) return httpCode < 500 ? httpCode : 400;
  // Of co-body: malformed JSON.
  if (status === 400 && thrown instanceof SyntaxError) return status;
  // Of inflation: an unknown encoding.
  if (encoding !== '' && status === 415) return status;
  if (encoding !== '' && NOT_COMPRESSED.test(String(code))) return 400;
  if (!BUSBOY_MESSAGE.test(message)) return undefined;
  return message.startsWith('Unsupported content type') ? 415 : 400;
}
