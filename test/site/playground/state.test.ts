import { expect, it } from 'vitest'
import { changed, initialSetting } from '../../../site/playground/setting.js'
import { firstState, opened, type PageState, reported } from '../../../site/playground/state.js'

const digits = initialSetting('digits')
const fresh = opened(firstState(digits), digits)
const result = { epoch: 1, trainLoss: 0.5, trainAccuracy: 0.75, testAccuracy: 0.8, seconds: 0.1 }

it('a report of an earlier session changes nothing', () => {
  const report = { type: 'epoch', session: fresh.session - 1, network: 'dense', result } as const
  expect(reported(fresh, report)).toBe(fresh)
  const next = reported(fresh, { ...report, session: fresh.session })
  expect(next.history).toEqual({ dense: [result], mixture: [] })
})

it('WebAssembly is offered where another backend computes or was refused', () => {
  const after = (state: PageState, message: string, isDevice: boolean) =>
    reported(state, { type: 'failed', session: state.session, message, isDevice }).problem
  const on = (name: string): PageState => ({ ...fresh, backend: { name, reason: 'it was asked for' } })
  const loss = 'WebGL: context must stay there, got its loss'
  expect(after(on('webgl'), loss, true)).toEqual({ message: loss, offersWasm: true })
  expect(after(on('wasm'), loss, true)?.offersWasm).toBe(false)
  expect(after(on('webgl'), 'Load: no', false)?.offersWasm).toBe(false)
  const refusal = 'useBackend: backend webgpu must be available'
  expect(after(opened(fresh, changed(digits, { backend: 'webgpu' })), refusal, false)?.offersWasm).toBe(true)
  expect(after(opened(fresh, changed(digits, { backend: 'wasm' })), refusal, false)?.offersWasm).toBe(false)
})

it('a new session keeps what the visitor brought and chose, and a wall of the same images', () => {
  const wall = {
    ...{ shape: [1, 1, 1] as const, count: 1, pixels: new Uint8Array(1) },
    ...{ labels: new Int32Array(1), classNames: ['0', '1'] },
  }
  const own = { classes: [{ name: 'cats', pictures: [] }] }
  const state: PageState = { ...fresh, wall, expert: 3, own, wantsRunning: false }
  const more = opened(state, changed(digits, { k: 10 }))
  expect(more).toMatchObject({ session: fresh.session + 1, wantsRunning: false, expert: 3, own })
  expect(more.wall).toBe(wall)
  expect(opened(state, changed(digits, { k: 2 })).expert).toBeUndefined()
  expect(opened(state, initialSetting('defect')).wall).toBeUndefined()
})
