import { createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import { meetWorkers } from '../../src/cluster/meeting.js'
import { freeAddresses } from './started-workers.js'

const host = '127.0.0.1'

describe('workers meet', () => {
  test('all of them, whoever comes first', async () => {
    const workers = await freeAddresses(3)
    await Promise.all(workers.map((_, index) => meetWorkers({ workers, index }, host, 60)))
    // Their addresses are free again.
    await Promise.all(workers.map((_, index) => meetWorkers({ workers, index }, host, 60)))
  })

  test('or say who does not come', async () => {
    const workers = await freeAddresses(3)
    await expect(meetWorkers({ workers, index: 1 }, host, 0.1)).rejects.toThrow(
      `joinCluster: all 3 workers must be there within 0.1 s, got none of worker 0 (${workers[0]}) and worker 2 (${workers[2]}) `,
    )
  })

  test('or say that this one listens where others cannot find it', async () => {
    const [own = ''] = await freeAddresses(1)
    const failure = meetWorkers({ workers: [own, '192.0.2.1:2222'], index: 0 }, host, 0.1)
    await expect(failure).rejects.toThrow(
      'got none of worker 1 (192.0.2.1:2222) (looked for by worker 0, which listens at 127.0.0.1, where no other machine finds it; ',
    )
  })

  test('one that listens for something else has met all before', async () => {
    const [own = ''] = await freeAddresses(1)
    const server = createServer(socket => void socket.end('HTTP/2')).listen(0, host)
    await new Promise(resolve => server.once('listening', resolve))
    const other = `${host}:${(server.address() as { readonly port: number }).port}`
    await meetWorkers({ workers: [own, other], index: 0 }, host, 60)
    await new Promise(resolve => server.close(resolve))
  })

  test('or say who belongs to another cluster', async () => {
    const [a = '', b = '', c = ''] = await freeAddresses(3)
    const meetings = await Promise.allSettled([
      meetWorkers({ workers: [a, b], index: 0 }, host, 60),
      meetWorkers({ workers: [b, c], index: 0 }, host, 2),
    ])
    expect(meetings.map(each => each.status === 'rejected' && (each.reason as Error).message)).toEqual([
      `joinCluster: worker 1 (${b}) must be 1 of the workers ${a}, ${b}, got one that is 0 of ${b}, ${c}`,
      expect.stringContaining(`must be there within 2 s, got none of worker 1 (${c})`),
    ])
  })
})
