import assert from 'node:assert/strict';
import { parse } from 'yaml';
import { readSettings } from '../../lib/core/settings';
import { theDockerfile, theManifest } from './container-guide';

/** The settings that come from the secret that the manifest names. */
const SECRET = {
  DATABASE_URL: 'postgres://u:p@db.example/shop',
  REDIS_URL: 'redis://r.example:6379',
  SMTP_URL: 'smtp://mail.example:587',
  APP_URL: 'https://shop.example',
};

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
  readonly periodSeconds: number;
  readonly failureThreshold?: number;
  readonly timeoutSeconds?: number;
}

interface Container {
  readonly command?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

interface Served extends Container {
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly lifecycle: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
}

interface Pod {
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: { readonly runAsNonRoot: boolean; readonly runAsUser: number };
  readonly initContainers: readonly [Container];
  readonly containers: readonly [Served];
  readonly volumes: readonly { readonly name: string; readonly emptyDir: object }[];
}

describe("the guide's manifest for Kubernetes", () => {
  const { kind, spec } = parse(theManifest()) as { kind: string; spec: { template: { spec: Pod } } };
  const pod = spec.template.spec;
  const [served] = pod.containers;
  const [migration] = pod.initContainers;
  const own = Object.fromEntries((served.env ?? []).map(({ name, value }) => [name, value]));
  const image = theDockerfile();
  const machine = { memoryLimitMb: 512, cores: 2 };
  const config = readSettings({ env: { ...image.env, ...SECRET, ...own }, cwd: image.workdir, machine });
  const seconds = (ms: number) => ms / 1000;

  it('probes the paths and the port at which the tree serves', () => {
    assert.equal(kind, 'Deployment');
    assert.deepEqual(config.listen, [{ kind: 'tcp', host: '0.0.0.0', port: served.ports[0]?.containerPort }]);
    for (const { httpGet } of [served.startupProbe, served.livenessProbe, served.readinessProbe])
      assert.equal(httpGet.port, served.ports[0]?.name);
    assert.equal(served.startupProbe.httpGet.path, '/health');
    assert.equal(served.livenessProbe.httpGet.path, '/health');
    assert.equal(served.readinessProbe.httpGet.path, '/ready');
    assert.deepEqual(config.trustProxy, { hops: 1 }, 'the ingress is one hop');
  });

  it('allows a stop, a start and a hanging worker more time than the tree itself does', () => {
    const { preStop } = served.lifecycle;
    const stop = preStop.sleep.seconds + seconds(config.shutdownTimeoutMs);
    assert.ok(pod.terminationGracePeriodSeconds > stop, `${pod.terminationGracePeriodSeconds} s for ${stop} s`);
    const patience = ({ periodSeconds, failureThreshold = 3 }: Probe) => periodSeconds * failureThreshold;
    // A tree gives up when workers have died three times at boot.
    assert.ok(patience(served.startupProbe) > 3 * seconds(config.web.bootTimeoutMs), 'startupProbe');
    assert.ok(patience(served.livenessProbe) > seconds(config.web.workerTimeoutMs), 'livenessProbe');
  });

  it('migrates first, with the program that serves', () => {
    assert.deepEqual(migration.command, [...image.command, 'migrate']);
    assert.equal(served.command, undefined, 'the CMD of the image serves');
  });

  it('writes only to the mounted volume, as a user that is not root', () => {
    assert.equal(pod.securityContext.runAsNonRoot, true);
    assert.ok(pod.securityContext.runAsUser > 0);
    for (const one of [migration, served]) {
      assert.equal(one.securityContext.readOnlyRootFilesystem, true);
      assert.equal(one.securityContext.allowPrivilegeEscalation, false);
      assert.deepEqual(
        one.volumeMounts.map(({ name }) => name),
        pod.volumes.map(({ name }) => name),
      );
    }
    const [{ mountPath } = assert.fail('no volume')] = served.volumeMounts;
    for (const file of [config.control.socket, config.control.stateFile])
      assert.ok(file.startsWith(`${mountPath}/`), `${file} is not in ${mountPath}`);
  });
});
