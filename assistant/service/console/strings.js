// The page's words in both languages, and the switch between them.

const WORDS = {
  en: {
    collection: "Collection",
    arm: "Answer with",
    armAuto: "Best available",
    armBase: "Base model only",
    armRag: "Documents",
    armFt: "Tuned model only",
    armBoth: "Documents + tuned model",
    fresh: "New conversation",
    theme: "Light or dark",
    switchLanguage: "Switch the language",
    otherLanguage: "中文",
    welcome: "What does the customer want to know?",
    welcomeMore: "Answers come from your own manuals, policies and resolved tickets. Nothing leaves this service.",
    stepAsk: "Ask",
    stepAskMore: "in the customer's words, English or Chinese",
    stepRead: "Read",
    stepReadMore: "each statement carries the number of its source",
    stepCheck: "Check",
    stepCheckMore: "click a number to see the quote in its passage",
    placeholder: "Ask a question…",
    hint: "Enter sends, Shift+Enter starts a new line",
    send: "Ask",
    stop: "Stop",
    searching: "Searching the documents…",
    thinking: "Thinking…",
    writing: "Reading {count} passages…",
    sources: "Sources",
    sourceOne: "Open source {number}: {document}",
    closest: "Closest passages",
    page: "p. {page}",
    version: "version {version}",
    took: "{seconds} s",
    tookFirst: "first word after {seconds} s",
    copy: "Copy",
    copied: "Copied",
    stopped: "Stopped. The answer is not complete and its sources were not checked.",
    abstained: "The documents do not cover this",
    abstainedMore: "Nothing was invented. Pass the question on to a colleague who knows.",
    handOver: "Copy for hand-over",
    handOverText: "Question passed on (not covered by collection “{collection}”):\n{question}\n\nClosest passages:\n{passages}",
    handOverNoted: "Noted as {id}",
    up: "Good answer",
    down: "Bad answer",
    thanks: "Thank you, noted",
    whatIsRight: "What would be right?",
    sendCorrection: "Send",
    notStored: "Could not be noted",
    answerFailed: "No answer",
    answerBroke: "The answer broke off",
    retry: "Try again",
    passage: "Passage",
    close: "Close",
    loading: "Loading…",
    quoteOf: "Quote in its passage",
    pageOf: "Page",
    versionOf: "Version",
    whereOf: "Section",
    documentOf: "Document",
    fileOf: "File",
    download: "Download",
    keyNeeded: "This service asks for an API key",
    keySave: "Use key",
    logIn: "Log in",
    logOut: "Log out",
    notReady: "Getting ready: {reason}",
    unreachable: "The service cannot be reached. Is it still running?",
    error400: "The question cannot be used as it is.",
    error401: "The API key is missing or wrong.",
    error404: "It is not there.",
    error413: "The question is too large.",
    error429: "Too many questions wait already. Try again in a moment.",
    error500: "Something went wrong inside the service.",
    error502: "The language model failed while answering.",
    error503: "The service is not ready yet.",
  },
  zh: {
    collection: "知识集",
    arm: "回答方式",
    armAuto: "自动选择最佳",
    armBase: "仅基础模型",
    armRag: "文档",
    armFt: "仅微调模型",
    armBoth: "文档 + 微调模型",
    fresh: "新对话",
    theme: "浅色或深色",
    switchLanguage: "切换语言",
    otherLanguage: "English",
    welcome: "客户想了解什么？",
    welcomeMore: "答案来自贵公司自己的手册、政策和已解决的工单，数据不会离开本服务。",
    stepAsk: "提问",
    stepAskMore: "直接用客户的原话，中文英文都可以",
    stepRead: "阅读",
    stepReadMore: "每句话后面都标有出处编号",
    stepCheck: "核对",
    stepCheckMore: "点击编号，查看原文中的引文",
    placeholder: "请输入问题……",
    hint: "按 Enter 发送，Shift+Enter 换行",
    send: "提问",
    stop: "停止",
    searching: "正在检索文档……",
    thinking: "正在思考……",
    writing: "正在阅读 {count} 个段落……",
    sources: "出处",
    sourceOne: "打开出处 {number}：{document}",
    closest: "最接近的段落",
    page: "第 {page} 页",
    version: "版本 {version}",
    took: "用时 {seconds} 秒",
    tookFirst: "首字 {seconds} 秒",
    copy: "复制",
    copied: "已复制",
    stopped: "已停止。答案不完整，出处未经核对。",
    abstained: "文档中没有这方面的内容",
    abstainedMore: "系统没有编造答案，请把问题转交给了解情况的同事。",
    handOver: "复制并转交",
    handOverText: "转交的问题（知识集“{collection}”中没有答案）：\n{question}\n\n最接近的段落：\n{passages}",
    handOverNoted: "已登记：{id}",
    up: "答得好",
    down: "答得不好",
    thanks: "谢谢，已记录",
    whatIsRight: "正确的答案是什么？",
    sendCorrection: "发送",
    notStored: "未能记录",
    answerFailed: "没有得到答案",
    answerBroke: "回答中断",
    retry: "重试",
    passage: "段落",
    close: "关闭",
    loading: "正在加载……",
    quoteOf: "引文所在段落",
    pageOf: "页码",
    versionOf: "版本",
    whereOf: "章节",
    documentOf: "文档",
    fileOf: "文件",
    download: "下载",
    keyNeeded: "本服务需要 API 密钥",
    keySave: "使用密钥",
    logIn: "登录",
    logOut: "退出登录",
    notReady: "正在准备：{reason}",
    unreachable: "无法连接到服务，服务是否仍在运行？",
    error400: "无法使用这个问题。",
    error401: "API 密钥缺失或不正确。",
    error404: "找不到所请求的内容。",
    error413: "问题太大。",
    error429: "排队的问题太多，请稍后再试。",
    error500: "服务内部出错。",
    error502: "语言模型在回答时出错。",
    error503: "服务尚未就绪。",
  },
};

const values = new WeakMap();
let language = first();

function first() {
  const kept = localStorage.getItem("language");
  if (kept in WORDS) return kept;
  return (navigator.languages ?? [navigator.language]).find((name) => /^(zh|en)/i.test(name))?.slice(0, 2).toLowerCase() ?? "en";
}

export function words(key, vars = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => vars[name]);
}

// Gives an element words that follow the language switch.
export function say(element, key, vars = {}) {
  element.dataset.say = key;
  values.set(element, vars);
  element.textContent = words(key, vars);
  return element;
}

export function sayAll() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const item of document.querySelectorAll("[data-say]")) item.textContent = words(item.dataset.say, values.get(item));
  for (const item of document.querySelectorAll("[data-title]")) {
    item.title = words(item.dataset.title);
    item.setAttribute("aria-label", item.title);
  }
  for (const item of document.querySelectorAll("[data-placeholder]")) item.placeholder = words(item.dataset.placeholder);
  for (const item of document.querySelectorAll("[data-label]")) item.setAttribute("aria-label", words(item.dataset.label));
}

export function switchLanguage() {
  language = language === "en" ? "zh" : "en";
  localStorage.setItem("language", language);
  sayAll();
}
