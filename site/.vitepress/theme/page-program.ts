import { defineComponent, h, onMounted, onUnmounted, ref } from 'vue'
import { addressOf, loaded } from './programs.js'

/** Puts a program into an element, and returns what ends it. */
type Program = (root: HTMLElement) => Promise<() => void>

const worker = (name: string) => new Worker(addressOf(`${name}.js`), { type: 'module' })

const programs: Readonly<Record<string, Program>> = {
  async playground(root) {
    const { mountPlayground } = await loaded<typeof import('../../playground/main.js')>('playground')
    const files = { samples: addressOf('samples/'), wasm: addressOf('wasm/') }
    return mountPlayground(root, { startWorker: () => worker('playground-worker'), ...files })
  },
  async explorer(root) {
    const [{ mountExplorer }, { droppedSource }] = await Promise.all([
      loaded<typeof import('../../explorer/main.js')>('explorer'),
      loaded<typeof import('../../explorer/dropped/dropped-source.js')>('explorer-source'),
    ])
    // It reads the .wasm files beside its script.
    const computing = worker('explorer-worker')
    mountExplorer(root, droppedSource(computing))
    return () => computing.terminate()
  },
}

/** The program of a page, by its name; it ends when a reader leaves the page. */
export const PageProgram = defineComponent(
  ({ name }: { readonly name: string }) => {
    const root = ref<HTMLElement>()
    let end = () => {}
    let hasLeft = false
    onMounted(async () => {
      const program = programs[name]
      const element = root.value
      if (!element || !program) return
      try {
        const started = await program(element)
        if (hasLeft) started()
        else end = started
      } catch (error) {
        element.append(`This page's program does not start here: ${(error as Error).message}`)
      }
    })
    onUnmounted(() => {
      hasLeft = true
      end()
    })
    return () => h('div', { ref: root, class: 'page-program' })
  },
  { props: ['name'] },
)
