//! What an engine died of, read from the last lines of its log.

use regex::Regex;

use crate::plan::launch::LogPatterns;
use crate::record::event::FailureClass;

/// Phrases of the operating system, `PyTorch` and CUDA that any engine may print.
const COMMON: [(FailureClass, &str); 3] = [
    (
        FailureClass::OutOfMemory,
        r"(?i)out of memory|OutOfMemoryError|cudaErrorMemoryAllocation|cannot allocate memory|std::bad_alloc",
    ),
    (
        FailureClass::Port,
        r"(?i)address already in use|EADDRINUSE|couldn't bind|failed to bind|port \d+ is (already )?in use",
    ),
    (
        FailureClass::UnsupportedDtype,
        r"(?i)(bfloat16|bf16|fp8|float16|dtype|quantization)[^\n]{0,80}(not supported|unsupported|only supported)",
    ),
];

/// Returns the class of failure that the log tells of: the preset's patterns first, then
/// phrases that any engine may print.
pub fn classify(log_tail: &[String], patterns: &LogPatterns) -> Option<FailureClass> {
    let from_preset = patterns
        .failures
        .iter()
        .filter_map(|(class, pattern)| Some((*class, Regex::new(pattern).ok()?)));
    let common = COMMON.iter().map(|(class, pattern)| {
        (*class, Regex::new(pattern).expect("the pattern is part of the program and tested"))
    });
    from_preset
        .chain(common)
        .find(|(_, pattern)| log_tail.iter().any(|line| pattern.is_match(line)))
        .map(|(class, _)| class)
}

/// Returns the setting that would have saved a start which ended with these lines, as far as the
/// preset knows one.
pub(crate) fn remedy<'a>(lines: &[String], patterns: &'a LogPatterns) -> Option<&'a str> {
    let known = patterns.remedies.iter().find(|(_, pattern)| {
        let pattern = Regex::new(pattern);
        pattern.is_ok_and(|pattern| lines.iter().any(|line| pattern.is_match(line)))
    });
    known.map(|(setting, _)| setting.as_str())
}

/// Returns the first exception that a log tells of, where another one ends it: an engine of
/// several processes says last that one of them failed, and first why.
pub(crate) fn cause(lines: &[String]) -> Option<&str> {
    let exception = Regex::new(r"(?:^|[\])] )(?:\w+\.)*(\w*(?:Error|Exception): \S.*)$");
    let exception = exception.expect("the pattern is part of the program and tested");
    let mut told = lines.iter().filter_map(|line| Some(exception.captures(line)?.get(1)?.as_str()));
    let first = told.next()?;
    told.next_back().filter(|last| *last != first).map(|_| first)
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;

    #[test]
    fn common_phrases_of_engines_are_recognised() {
        let check = |line: &str, expected: Option<FailureClass>| {
            assert_eq!(classify(&[line.to_owned()], &LogPatterns::default()), expected, "{line}");
        };
        check(
            "torch.OutOfMemoryError: CUDA out of memory. Tried to",
            Some(FailureClass::OutOfMemory),
        );
        check("OSError: [Errno 98] Address already in use", Some(FailureClass::Port));
        check("couldn't bind HTTP server socket, hostname: 127.0.0.1", Some(FailureClass::Port));
        check(
            "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0",
            Some(FailureClass::UnsupportedDtype),
        );
        check("Traceback (most recent call last):", None);
    }

    #[test]
    fn of_several_exceptions_the_first_is_the_cause() {
        let check = |log: &str, expected: Option<&str>| {
            let lines: Vec<String> = log.lines().map(str::to_owned).collect();
            assert_eq!(cause(&lines), expected, "{log}");
        };
        // As vLLM 0.32 writes it.
        let vllm = "WARNING 11-30 [system_utils.py:255] errors like `OSError: Too many open files`\n\
                    (VllmWorker-0 pid=30) ERROR 11-30 08:37:47 [multiproc_executor.py:953]     raise \
                    ValueError(\n\
                    (VllmWorker-0 pid=30) ERROR 11-30 08:37:47 [multiproc_executor.py:953] \
                    ValueError: Available memory is less\n\
                    (EngineCore pid=28) Exception: WorkerProc initialization failed\n\
                    RuntimeError: Engine core initialization failed. See root cause above.";
        check(vllm, Some("ValueError: Available memory is less"));
        check(
            "torch.OutOfMemoryError: no\nmore\nmine.EngineError: died",
            Some("OutOfMemoryError: no"),
        );
        check("ValueError: no kernel", None);
        check("ValueError: no kernel\nbye\n[rank0] ValueError: no kernel", None);
    }

    #[test]
    fn a_remedy_is_the_first_setting_whose_lines_are_there() {
        let remedies = [("memory-fraction=0.5", "less than desired"), ("eager=true", "graph")];
        let remedies = remedies.map(|(setting, pattern)| (setting.to_owned(), pattern.to_owned()));
        let patterns = LogPatterns { remedies: remedies.into(), ..LogPatterns::default() };
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(
                remedy(&["INFO".to_owned(), line.to_owned()], &patterns),
                expected,
                "{line}"
            );
        };
        check("ValueError: 9.1 GiB is less than desired", Some("memory-fraction=0.5"));
        check("graph capture failed", Some("eager=true"));
        check("killed", None);
    }

    #[test]
    fn the_presets_patterns_come_first() {
        let patterns = LogPatterns {
            failures: IndexMap::from([(FailureClass::TimedOut, "out of memory".to_owned())]),
            ..LogPatterns::default()
        };
        assert_eq!(
            classify(&["CUDA out of memory".to_owned()], &patterns),
            Some(FailureClass::TimedOut)
        );
    }
}
