import { beforeAll, expect, it, vi } from 'vitest'
import type { Report } from '../../../site/playground/protocol.js'
import { initialSetting } from '../../../site/playground/setting.js'
import { Session } from '../../../site/playground/worker/session.js'
import type { PixelSet } from '../../../src/data/image-set.js'
import type { CheckpointStore } from '../../../src/train/checkpoint.js'
import { useTestBackend } from '../../backend-under-test.js'

beforeAll(useTestBackend)

const images: PixelSet = {
  images: new Uint8Array(4 * 32 * 32),
  labels: Int32Array.of(0, 1, 0, 1),
  count: 4,
  shape: [32, 32, 1],
  classNames: ['0', '1'],
}

it('a training that failed tells so again when it is asked to go on, and is not shown as running', async () => {
  const reports: Report[] = []
  const damaged: CheckpointStore = { read: async () => Uint8Array.of(1, 2, 3), write: async () => undefined }
  const start = {
    session: 1,
    setting: initialSetting('digits'),
    data: { train: images, test: images },
    wall: 4,
    stores: { dense: damaged, mixture: damaged },
  }
  const session = await Session.open(start, false, report => reports.push(report))
  await vi.waitUntil(() => reports.some(({ type }) => type === 'failed'), { timeout: 10 * 60_000 })
  const failed = reports.at(-1)
  expect(failed).toMatchObject({ type: 'failed', message: expect.stringMatching(/^the last checkpoint: /) })
  session.resume('running')
  expect(reports.slice(-2)).toEqual([failed, failed])
  await session.close()
})
