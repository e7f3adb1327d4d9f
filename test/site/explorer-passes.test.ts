import { expect, test } from 'vitest'
import { Passes } from '../../site/explorer/passes.js'
import { ExplorerState } from '../../site/explorer/state.js'

test('a pass that was under way when images came is not taken for one over all of them', async () => {
  const waiting: (() => void)[] = []
  const state = new ExplorerState({
    ask: (async ({ images }: { readonly images: readonly number[] }) => {
      await new Promise<void>(resolve => waiting.push(resolve))
      return images.map(() => ({ probabilities: [0, 1], predicted: 1, experts: [] }))
    }) as never,
    picture: async () => '',
    addImages: async () => undefined,
  })
  const withImages = (count: number) => {
    const images = Array.from({ length: count }, (_, i) => ({ name: `${i}.png` }))
    state.contents = { ...state.contents, images }
  }
  const passes = new Passes(state)
  const ask = () => passes.of(0, {}, new AbortController().signal, () => undefined)
  withImages(2)
  const before = ask()
  withImages(3)
  passes.clear()
  waiting.pop()?.()
  expect((await before).predicted).toEqual([1, 1])
  const after = ask()
  waiting.pop()?.()
  expect((await after).predicted).toEqual([1, 1, 1])
  // And this one is remembered.
  expect(await ask()).toBe(await after)
})
