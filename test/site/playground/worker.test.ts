import { beforeEach, expect, test, vi } from 'vitest'
import type { Order, Report } from '../../../site/playground/protocol.js'
import { initialSetting, type Setting } from '../../../site/playground/setting.js'
import type { SessionStart } from '../../../site/playground/worker/session.js'

/** What sessions began with, in order; those on WebGPU are refused after that. */
const starts: SessionStart[] = []
const reports: Report[] = []

vi.mock('../../../site/playground/worker/computing.js', () => ({
  openSession: async (start: SessionStart) => {
    starts.push(start)
    if (start.setting.backend === 'webgpu') throw new Error('useBackend: backend webgpu must be available')
    return { start, stores: start.stores ?? { of: start.session }, close: async () => undefined }
  },
}))

vi.mock('../../../site/playground/worker/task-data.js', () => ({
  taskData: async () => ({}),
  wallOf: () => ({ count: 24 }),
}))

/** The limit of the test holds. */
const patiently = { timeout: 10 * 60_000, interval: 1 }
const scope = globalThis as unknown as {
  postMessage(report: Report): void
  onmessage(event: { readonly data: Order }): void
}
scope.postMessage = report => reports.push(report)
await import('../../../site/playground/worker/worker.js')

const digits = initialSetting('digits', { backend: 'wasm' })
let session = 0

beforeEach(() => {
  starts.length = 0
  reports.length = 0
})

function ask(setting: Setting, goesOn = false): void {
  const assets = { samples: '', wasm: '' }
  const order: Order = { type: 'open', session: ++session, setting, assets, isRunning: false, goesOn }
  scope.onmessage({ data: order })
}

/** Waits for what a session began with. */
async function start(): Promise<SessionStart> {
  const of = session
  return vi.waitUntil(() => starts.find(each => each.session === of), patiently)
}

test('a session goes on from the last one whose networks it has, also where a backend between was refused', async () => {
  ask(digits)
  const { session: first } = await start()
  ask({ ...digits, backend: 'webgpu' }, true)
  expect((await start()).stores).toEqual({ of: first })
  await vi.waitUntil(() => reports.some(({ type }) => type === 'failed'), patiently)
  ask(digits, true)
  expect((await start()).stores).toEqual({ of: first })
})

test('a session goes on from nothing once other networks were asked for, even if none was opened', async () => {
  ask(digits)
  await start()
  const other = { ...digits, k: 2 }
  ask(other)
  ask({ ...other, backend: 'webgl' }, true)
  expect((await start()).stores).toBeUndefined()
  expect(starts).toHaveLength(2)
})
