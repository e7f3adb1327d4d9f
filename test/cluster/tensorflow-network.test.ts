import { afterAll, describe, expect, test } from 'vitest'
import { networkNamespaces } from '../../bench/network-namespaces.js'
import { failureOf, smallTraining, startAlone, startWorker, trainedBy } from './started-workers.js'
import type { SmallTraining, TrainedHere } from './training-program.js'

const made = networkNamespaces(4)
if (typeof made === 'string') console.log(`Workers on machines of their own are not tried: ${made}`)

describe.skipIf(typeof made === 'string')('workers on machines of their own', () => {
  const machines = made as Exclude<typeof made, string>
  afterAll(() => machines.remove())

  const start = (count: number, training: SmallTraining) => {
    const addresses = machines.hosts.slice(0, count).map(host => `${host}:2222`)
    return addresses.map((_, index) => startWorker(addresses, index, training, machines.wordsOf(index)))
  }

  test('four give the numbers of one process', async () => {
    const [one, ...four] = (await Promise.all(
      [startAlone(smallTraining), ...start(4, smallTraining)].map(trainedBy),
    )) as [TrainedHere, ...TrainedHere[]]
    for (const { weights } of four) expect(weights).toEqual(four[0]?.weights)
    const differences = one.weights.flatMap((weight, i) =>
      weight.map((value, j) => Math.abs(value - (four[0]?.weights[i]?.[j] ?? Infinity))),
    )
    expect(Math.max(...differences)).toBeLessThan(1e-5)
  })

  test('both of two end where the link between them is cut', async () => {
    const pause: SmallTraining = {
      ...smallTraining,
      network: 'plain',
      heartbeat: 4,
      pause: 20,
      options: { epochs: 10_000, batchSize: 8, seed: 3, optimizer: { name: 'sgd', learningRate: 0.001 } },
    }
    const workers = start(2, pause)
    await Promise.all(workers.map(({ line }) => line(/step 2/)))
    machines.cut(1)
    const failures = await Promise.all(workers.map(failureOf))
    for (const [index, { failure, code }] of failures.entries()) {
      expect(failure).toContain(`no answer from worker ${1 - index} (10.77.0.${2 - index}:2222)`)
      expect(code).toBe(1)
    }
  })
})
