import { withBase } from 'vitepress'
import { defineComponent, h, onMounted, onUnmounted, ref } from 'vue'

/** Puts a program into an element, and returns what ends it. */
type Program = (root: HTMLElement) => Promise<() => void>

/** An address within the site, as a worker can read it. */
const addressOf = (path: string) => new URL(withBase(path), location.href).href

const programs: Readonly<Record<string, Program>> = {
  async playground(root) {
    const { mountPlayground } = await import('../../playground/main.js')
    return mountPlayground(root, {
      startWorker: () =>
        new Worker(new URL('../../playground/worker/worker.ts', import.meta.url), { type: 'module' }),
      samples: addressOf('/playground-files/samples/'),
      wasm: addressOf('/playground-files/wasm/'),
    })
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
      if (!root.value || !program) return
      const started = await program(root.value)
      if (hasLeft) started()
      else end = started
    })
    onUnmounted(() => {
      hasLeft = true
      end()
    })
    return () => h('div', { ref: root, class: 'page-program' })
  },
  { props: ['name'] },
)
