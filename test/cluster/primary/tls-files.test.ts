import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { TlsFiles } from '../../../lib/cluster/primary/tls-files';
import { UserError } from '../../../lib/core/errors';
import { eventSentence } from '../../../lib/core/event-catalog';
import { Events } from '../../../lib/core/events';
import type { Credentials } from '../../../lib/core/tls';
import { type Certificate, makeCertificate } from '../../role/certificates';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';

describe('the files of TLS_CERT and TLS_KEY', () => {
  let folder: string;
  let files: ConstructorParameters<typeof TlsFiles>[0];
  let watched: TlsFiles | undefined;
  const renewed: Credentials[] = [];
  const kept: string[] = [];

  /** Writes a pair into a folder of its own and leads `current` there, as Kubernetes and certbot do. */
  const release = (name: string, { chain, key }: Pick<Certificate, 'chain' | 'key'>) => {
    fs.mkdirSync(path.join(folder, name));
    fs.writeFileSync(path.join(folder, name, 'tls.crt'), chain);
    fs.writeFileSync(path.join(folder, name, 'tls.key'), key);
    fs.symlinkSync(name, path.join(folder, 'next'));
    fs.renameSync(path.join(folder, 'next'), path.join(folder, 'current'));
  };
  const watch = () => {
    const events = new Events();
    events.on('tls.kept', ({ reason }) => kept.push(reason));
    watched = new TlsFiles(files, events, (credentials) => renewed.push(credentials), 5);
    watched.task.start();
    return watched;
  };
  beforeEach(() => {
    folder = tempFolder('tls-files');
    files = { cert: path.join(folder, 'current/tls.crt'), key: path.join(folder, 'current/tls.key') };
    renewed.length = 0;
    kept.length = 0;
  });
  afterEach(async () => {
    await watched?.task.stop();
    removeFolder(folder);
  });

  it('are read anew once a link leads to others; those that do not fit each other are told once, and not used', async () => {
    const [first, second] = [await makeCertificate(), await makeCertificate()];
    release('1', first);
    const { credentials } = watch();
    assert.deepEqual([credentials.cert, credentials.key], [first.chain, first.key]);
    release('2', { chain: second.chain, key: first.key });
    await until('they are refused', () => kept.length === 1);
    assert.match(kept[0] ?? '', /TLS_CERT .* and TLS_KEY .*: .*key/);
    assert.equal(watched?.credentials.cert, first.chain);
    release('3', second);
    await until('they are used', () => renewed.length === 1);
    assert.deepEqual([renewed[0]?.key, renewed[0]?.ticketKeys], [second.key, credentials.ticketKeys]);
    fs.unlinkSync(path.join(folder, 'current'));
    await until('it is told that they are gone', () => kept.length === 2);
    assert.equal(watched?.credentials.cert, second.chain);
  });

  it('have new keys of tickets once the authorities of clients are others, which are used only if they are certificates', async () => {
    const [pair, one, other] = [await makeCertificate(), await makeCertificate(), await makeCertificate()];
    release('1', pair);
    const ca = path.join(folder, 'clients.pem');
    files = { ...files, clients: { ca, isRequired: true } };
    const trust = (...certificates: readonly Certificate[]) =>
      fs.writeFileSync(ca, certificates.map(({ authorityFile }) => fs.readFileSync(authorityFile, 'utf8')).join(''));
    trust(one);
    const { credentials } = watch();
    release('2', pair);
    await until('the pair is read anew', () => renewed.length === 1);
    assert.deepEqual(renewed[0], credentials);
    const NONE = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    fs.appendFileSync(ca, NONE);
    await until('they are refused', () => kept.length === 1);
    const sentence = eventSentence('tls.kept', { reason: kept[0] }) ?? '';
    assert.match(
      sentence,
      /^the file of TLS_CLIENT_CA \(.*clients\.pem\) has no certificates in PEM: .* stays in use$/,
    );
    trust(one);
    fs.appendFileSync(ca, '-----BEGIN CERTIFICATE-----\nAAAA');
    await until('a part of one is refused', () => kept.length === 2);
    trust(one, other);
    await until('they are used', () => renewed.length === 2);
    assert.equal(renewed[1]?.clients?.ca.match(/BEGIN/g)?.length, 2);
    assert.notEqual(renewed[1]?.ticketKeys, credentials.ticketKeys);
    fs.writeFileSync(ca, 'none');
    assert.throws(
      watch,
      (error: Error) => error instanceof UserError && /TLS_CLIENT_CA .* has no certificates/.test(error.message),
    );
  });

  it('that are missing, or none, end the start with an error that names the setting', async () => {
    assert.throws(
      watch,
      (error: Error) => error instanceof UserError && /file of TLS_CERT cannot be read/.test(error.message),
    );
    release('1', { ...(await makeCertificate()), key: 'none' });
    assert.throws(
      watch,
      (error: Error) => error instanceof UserError && /TLS_KEY are no certificate/.test(error.message),
    );
  });
});
