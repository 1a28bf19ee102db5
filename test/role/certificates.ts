import fs from 'node:fs';
import path from 'node:path';
import { generate } from 'selfsigned';
import { tempFolder } from '../support/temp-folder';

/** A server's certificate and key, in PEM, and the private authority that signed it. */
export interface Certificate {
  /** The certificate, followed by the authority's, as managed servers send it. */
  readonly chain: string;
  readonly key: string;
  /** Path of the authority's certificate, for NODE_EXTRA_CA_CERTS. */
  readonly authorityFile: string;
}

/**
 * Makes a certificate like those of managed plans: signed by an authority, by this name, that no system trusts.
 * @param usage `clientAuth` for one that a client shows.
 */
export async function makeCertificate(
  name = 'Test Authority',
  usage: 'serverAuth' | 'clientAuth' = 'serverAuth',
): Promise<Certificate> {
  const common = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const;
  const authority = await generate([{ name: 'commonName', value: name }], {
    ...common,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const server = await generate([{ name: 'commonName', value: 'localhost' }], {
    ...common,
    ca: { key: authority.private, cert: authority.cert },
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', [usage]: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  const authorityFile = path.join(tempFolder('authority'), 'ca.pem');
  fs.writeFileSync(authorityFile, authority.cert);
  return { chain: `${server.cert.trim()}\n${authority.cert.trim()}\n`, key: server.private, authorityFile };
}
