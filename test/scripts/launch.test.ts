import { expect, test } from 'vitest'
import { checkWorkersBackend, joinedCluster } from '../../scripts/run/training/cluster-worker.js'
import { clusterSpec } from '../../src/cluster/cluster-spec.js'
import { tfConfig } from '../../src/cluster/launch.js'
import { callPmoe } from './run-pmoe.js'

const launch = (...words: string[]) => callPmoe(['launch', ...words])

test('prints the command of each worker for several machines', async () => {
  const { code, out } = await launch('-n', '4', '--hosts', 'a, b', '--', 'train', '--out', 'two words')
  expect(code).toBe(0)
  const lines = out.trim().split('\n')
  expect(lines.filter(line => line.startsWith('#'))).toEqual([
    '# worker 0, on a',
    '# worker 1, on a',
    '# worker 2, on b',
    '# worker 3, on b',
  ])
  const [, config = '', words] = /^TF_CONFIG='(.*)' (pmoe .*)$/.exec(lines[7] ?? '') ?? []
  expect(words).toBe("pmoe train --out 'two words'")
  expect(clusterSpec({ TF_CONFIG: config })).toEqual({
    workers: ['a:2222', 'a:2223', 'b:2222', 'b:2223'],
    index: 3,
  })
})

test.each([
  [['-n', '2', '--', 'evaluate'], 'launch: command must be train, got evaluate'],
  [
    ['-n', '3', '--hosts', 'a,b', '--', 'train'],
    '--workers must be a multiple of the 2 machines of --hosts, got 3',
  ],
  [['-n', '2', '--port', '9', '--', 'train'], 'launch: --port must come with --hosts, got 9'],
  [
    ['-n', '2', '--hosts', 'a', '--port', '65535', '--', 'train'],
    'must have addresses host:port with ports in [1, 65535], got a:65536',
  ],
  [['-n', '2', '--', 'train', '--cluster', 'slurm'], 'launch: --cluster must be left out'],
  [['-n', '2', '--', 'train', '--share=0/2'], 'launch: --share=0/2 must be left out'],
])('refuses %j', async (words, message) => {
  const { code, err } = await launch(...words)
  expect(err).toContain(message)
  expect(code).toBe(2)
})

test('what workers cannot do together is refused before they meet', async () => {
  const env = { TF_CONFIG: tfConfig(['127.0.0.1:1', '127.0.0.1:2'], 0) }
  const refused = (request: Parameters<typeof joinedCluster>[0], message: string) =>
    expect(joinedCluster(request, env)).rejects.toThrow(message)
  await refused(
    { backend: 'wasm' },
    'train: --backend must be with 2 workers tensorflow or tensorflow-gpu, got wasm',
  )
  await refused({ batchSize: 'auto' }, 'train: --batch-size must be with 2 workers a number of images')
  await refused({ seeds: 3 }, 'train: --seeds must be left out with 2 workers')
  // A run that is resumed has the backend that it began with.
  expect(() => checkWorkersBackend('wasm', 2, 'the backend of runs/a')).toThrow(
    'train: the backend of runs/a must be with 2 workers tensorflow or tensorflow-gpu, got wasm',
  )
})
