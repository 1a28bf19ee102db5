import assert from 'node:assert/strict';
import { failedRecord, type JobRecord, newRecord, readRecord } from '../../../lib/job/record/record';

const FRAMES = '\n    at send (/srv/shop/jobs/send.js:12:34)\n    at next (node:internal/tick:95:5)';
const OTHER_FRAMES = '\n    at parse (/srv/shop/jobs/parse.js:1:2)';

function failure(message: string, frames: string, cause?: Error): Error {
  return Object.assign(new Error(message, cause && { cause }), { stack: `Error: ${message}${frames}` });
}

const failed = (errors: readonly Error[]): JobRecord =>
  errors.reduce((record, error) => failedRecord(record, error), readRecord(newRecord('{"class":"SendJob"}')));

describe('the record of a job that failed', () => {
  it('keeps the latest five errors, newest first', () => {
    const errors = Array.from({ length: 8 }, (_, n) => failure(`number ${n}`, `\n    at line (${n})`));
    const { attempts, stacktraces } = failed(errors).options;
    assert.equal(attempts, 8);
    assert.deepEqual(
      stacktraces,
      [7, 6, 5, 4, 3].map((n) => `Error: number ${n}\n    at line (${n})`),
    );
  });

  it('hides passwords in URLs, in the error, its cause and the reason of a death', () => {
    const error = failure('smtp://ada:hunter2@mail', FRAMES, new Error('redis://:hunter2@cache'));
    const record = failedRecord(failed([error]), error, { deadReason: `${error.message} (the only attempt)` });
    assert.doesNotMatch(JSON.stringify(record), /hunter2/);
    assert.equal(record.options.reason, 'smtp://ada:[FILTERED]@mail (the only attempt)');
  });

  it('keeps the frames of a repeated error once, with the newest', () => {
    const { stacktraces } = failed([
      failure('first', FRAMES),
      failure('second', FRAMES),
      failure('elsewhere', OTHER_FRAMES),
      failure('third', FRAMES),
      failure('fourth\nof two lines', FRAMES),
    ]).options;
    assert.deepEqual(stacktraces, [
      `Error: fourth\nof two lines${FRAMES}`,
      'Error: third',
      `Error: elsewhere${OTHER_FRAMES}`,
      `Error: second${FRAMES}`,
      'Error: first',
    ]);
  });

  it('compares the frames of causes, too, to recognize a repeated error', () => {
    const [one, other] = [failure('cause', FRAMES), failure('cause', OTHER_FRAMES)];
    const { stacktraces } = failed([
      failure('late', FRAMES, one),
      failure('late', FRAMES, other),
      failure('later', FRAMES, other),
    ]).options;
    assert.deepEqual(stacktraces, [
      `Error: later${FRAMES}\nCaused by: Error: cause${OTHER_FRAMES}`,
      'Error: late\nCaused by: Error: cause',
      `Error: late${FRAMES}\nCaused by: Error: cause${FRAMES}`,
    ]);
  });

  it('truncates long errors', () => {
    const { stacktraces = [] } = failed([failure('x'.repeat(9000), FRAMES)]).options;
    assert.deepEqual(
      stacktraces.map((trace) => trace.length),
      [4000],
    );
  });
});
