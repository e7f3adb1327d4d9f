import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"Many machines","description":"","frontmatter":{},"headers":[],"relativePath":"machines.md","filePath":"machines.md"}');
const _sfc_main = { name: "machines.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="many-machines" tabindex="-1">Many machines <a class="header-anchor" href="#many-machines" aria-label="Permalink to &quot;Many machines&quot;">​</a></h1><p>A study is many trainings that do not depend on each other; a cluster runs them side by side.</p><p><code>pmoe study plan fig4</code> prints the cells with their numbers; <code>pmoe study run fig4 --cell N --out DIR</code> runs one. All of them share the folder, which each makes or finds. Give every task the same flags, <code>--backend</code> among them; a task that is started again leaves a cell that is done as it is.</p><p>Slurm, <a href="/docs/studies/slurm-array.sh" target="_self">studies/slurm-array.sh</a>:</p><div class="language-sh vp-adaptive-theme"><button title="Copy Code" class="copy"></button><span class="lang">sh</span><pre class="shiki shiki-themes github-light-high-contrast github-dark-high-contrast vp-code" tabindex="0"><code><span class="line"><span style="--shiki-light:#702C00;--shiki-dark:#FFB757;">sbatch</span><span style="--shiki-light:#023B95;--shiki-dark:#91CBFF;"> --array=0-299%40</span><span style="--shiki-light:#032563;--shiki-dark:#ADDCFF;"> docs/studies/slurm-array.sh</span><span style="--shiki-light:#032563;--shiki-dark:#ADDCFF;"> fig4</span><span style="--shiki-light:#032563;--shiki-dark:#ADDCFF;"> /shared/fig4</span><span style="--shiki-light:#023B95;--shiki-dark:#91CBFF;"> --backend</span><span style="--shiki-light:#032563;--shiki-dark:#ADDCFF;"> tensorflow</span></span>
<span class="line"><span style="--shiki-light:#702C00;--shiki-dark:#FFB757;">npx</span><span style="--shiki-light:#032563;--shiki-dark:#ADDCFF;"> pmoe</span><span style="--shiki-light:#032563;--shiki-dark:#ADDCFF;"> study</span><span style="--shiki-light:#032563;--shiki-dark:#ADDCFF;"> report</span><span style="--shiki-light:#032563;--shiki-dark:#ADDCFF;"> /shared/fig4</span></span></code></pre></div><p>Kubernetes, <a href="/docs/studies/kubernetes-job.yaml" target="_self">studies/kubernetes-job.yaml</a>: an indexed job whose pods mount one volume.</p></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("machines.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const machines = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  machines as default
};
