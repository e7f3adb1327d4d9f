import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { StartedProcess } from '../child-processes.js'
import {
  failureOf,
  freeAddresses,
  raggedTraining,
  smallTraining,
  startAlone,
  startWorker,
  startWorkers,
  trainedBy,
} from './started-workers.js'
import type { SmallTraining, TrainedHere } from './training-program.js'

/** The largest difference of two trainings' weights. */
function distance(a: TrainedHere, b: TrainedHere): number {
  expect(a.weights.map(({ length }) => length)).toEqual(b.weights.map(({ length }) => length))
  return Math.max(
    ...a.weights.flatMap((weight, i) =>
      weight.map((value, j) => Math.abs(value - (b.weights[i]?.[j] ?? Infinity))),
    ),
  )
}

/** What an epoch measured, without the clock. */
function measured({ history }: TrainedHere): unknown[] {
  return history.map(({ seconds: _, ...metrics }) => metrics)
}

const evaluated: SmallTraining = { ...raggedTraining, isEvaluated: true }

describe('two workers', () => {
  test('give the numbers of one process, and the same bits again', async () => {
    const [one, ...both] = await Promise.all([
      trainedBy(startAlone(evaluated)),
      ...(await startWorkers(2, evaluated)).map(trainedBy),
    ])
    const [first, second] = both as [TrainedHere, TrainedHere]
    expect(first.weights).toEqual(second.weights)
    expect(measured(first)).toEqual(measured(second))
    expect(distance(one as TrainedHere, first)).toBeLessThan(1e-5)
    for (const [i, metrics] of (one as TrainedHere).history.entries()) {
      const other = first.history[i]
      expect(other?.trainLoss).toBeCloseTo(metrics.trainLoss, 5)
      expect(other?.validationLoss).toBeCloseTo(metrics.validationLoss as number, 5)
      expect(other?.trainAccuracy).toBe(metrics.trainAccuracy)
      expect(other?.validationAccuracy).toBe(metrics.validationAccuracy)
    }
    const again = await trainedBy((await startWorkers(2, evaluated))[0] as StartedProcess)
    expect(again.weights).toEqual(first.weights)
    expect(measured(again)).toEqual(measured(first))
  })

  test('end with the same weights where each normalizes its own part, and gradients travel rounded', async () => {
    const local: SmallTraining = {
      ...smallTraining,
      network: 'plain',
      options: {
        ...smallTraining.options,
        loadBalance: 0,
        diversity: 0,
        epochs: 2,
        bnStatistics: 'moving',
        clusterBatchNorm: 'local',
        clusterWire: 'bfloat16',
      },
    }
    const [first, second] = (await Promise.all((await startWorkers(2, local)).map(trainedBy))) as [
      TrainedHere,
      TrainedHere,
    ]
    expect(first.weights).toEqual(second.weights)
    expect(first.weights.flat().every(Number.isFinite)).toBe(true)
  })
})

/** A training that does not end by itself. */
const endless: SmallTraining = {
  ...smallTraining,
  network: 'plain',
  images: 16,
  heartbeat: 4,
  pause: 20,
  options: { epochs: 10_000, batchSize: 8, seed: 3, optimizer: { name: 'sgd', learningRate: 0.001 } },
}

/** The local addresses of listening sockets of IPv4 and IPv6, as Linux writes them: hexadecimal address:port. */
async function listening(): Promise<string[]> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map(name => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')),
  )
  return tables.flatMap(table =>
    table.split('\n').flatMap(line => {
      const [, local = '', , state] = line.trim().split(/\s+/)
      return state === '0A' ? [local] : []
    }),
  )
}

/** The listening addresses of a port, without it. */
async function hostsAt(address: string): Promise<string[]> {
  const port = Number(address.split(':')[1]).toString(16).toUpperCase().padStart(4, '0')
  return (await listening()).filter(each => each.endsWith(`:${port}`)).map(each => each.slice(0, -5))
}

describe('where a worker is lost', () => {
  test.each([
    { lost: 0, signal: 'SIGKILL' },
    { lost: 1, signal: 'SIGKILL' },
    { lost: 2, signal: 'SIGSTOP' },
  ] as const)('worker $lost by $signal, the others end and name it', async ({ lost, signal }) => {
    const addresses = await freeAddresses(3)
    const workers = addresses.map((_, index) => startWorker(addresses, index, endless))
    await Promise.all(workers.map(({ line }) => line(/step 2/)))
    for (const address of addresses) {
      // 127.0.0.1, and the same as an address of IPv6.
      const hosts = await hostsAt(address)
      expect(hosts).toHaveLength(1)
      expect(hosts[0]).toMatch(/^(0100007F|0000000000000000FFFF00000100007F)$/)
    }
    workers[lost]?.child.kill(signal)
    const others = workers.filter((_, index) => index !== lost)
    for (const { failure, code } of await Promise.all(others.map(failureOf))) {
      expect(failure).toMatch(
        /^cluster: all 3 workers must stay until the training ends, got no answer from worker \d/,
      )
      expect(failure).toContain(`worker ${lost} (${addresses[lost]})`)
      expect(failure).not.toMatch(/worker \d .* and worker/)
      expect(code).toBe(1)
    }
    workers[lost]?.child.kill('SIGKILL')
    await workers[lost]?.finished
    for (const address of addresses) expect(await hostsAt(address)).toEqual([])
  })
})

describe('workers that do not fit together', () => {
  const short: SmallTraining = { ...endless, options: { ...endless.options, epochs: 1 } }

  test.each([
    {
      what: 'another batch size',
      other: { options: { ...short.options, batchSize: 4 } },
      message: /same option batchSize, got 4 on worker 1 \(127.*\) and 8 on worker 0/,
    },
    {
      what: 'other images',
      other: { images: 15 },
      message:
        /same training images, got 15 of 8x8x1 in 3 classes, hash \w{8} on worker 1 .* and 16 of 8x8x1/,
    },
  ])('refuse $what before the first step', async ({ other, message }) => {
    const workers = await startWorkers(2, short, [{}, other])
    for (const { failure, code } of await Promise.all(workers.map(failureOf))) {
      expect(failure).toMatch(message)
      expect(code).toBe(1)
    }
  })

  test('take the weights of the chief, where networks were drawn otherwise', async () => {
    const workers = await startWorkers(2, short, [{}, { seed: 9 }])
    const [first, second] = (await Promise.all(workers.map(trainedBy))) as [TrainedHere, TrainedHere]
    expect(first.weights).toEqual(second.weights)
  })

  test('say so where an address is taken, or another worker does not come', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const taken = `127.0.0.1:${(server.address() as { readonly port: number }).port}`
    const [free = '', late = ''] = await freeAddresses(2)
    const [onTaken, tooFew] = await Promise.all([
      failureOf(startWorker([taken, free], 0, short)),
      failureOf(startWorker([free, late], 0, { ...short, startTimeout: 2 })),
    ])
    server.close()
    expect(onTaken.failure).toMatch(
      /^joinCluster: 127.0.0.1:\d+ must be a free address of this machine, got one that is taken/,
    )
    expect(onTaken.code).toBe(1)
    expect(tooFew.failure).toMatch(
      /^joinCluster: all 2 workers must be there within 2 s, got none of worker 1 \(127.0.0.1:\d+\) \(looked for by worker 0;/,
    )
    expect(tooFew.code).toBe(1)
  })

  test('say so where both have one rank', async () => {
    const addresses = await freeAddresses(3)
    const [first = '', second = '', third = ''] = addresses
    // The second believes that it is the chief of other workers.
    const workers = [
      startWorker([first, second], 0, short),
      startWorker([second, third], 0, { ...short, startTimeout: 3 }),
    ]
    const [own, other] = await Promise.all(workers.map(failureOf))
    expect(own?.failure).toMatch(/worker 1 \(.*\) must be 1 of the workers .*, got one that is 0 of/)
    expect(other?.failure).toMatch(/all 2 workers must be there within 3 s, got none of worker 1/)
  })

  test('say so where an address is of another machine', async () => {
    const [free = ''] = await freeAddresses(1)
    const { failure } = await failureOf(startWorker(['192.0.2.1:2222', free], 0, short))
    expect(failure).toMatch(
      /192.0.2.1:2222 must be a free address of this machine, got 192.0.2.1, which is not/,
    )
  })
})
